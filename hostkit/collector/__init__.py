"""The cloud side: visits in, figures out. Ingest, rollups, HTTP API and page."""
