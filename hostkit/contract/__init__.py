"""The published contract as data: topics, envelope, schemas, KPI dictionary."""
