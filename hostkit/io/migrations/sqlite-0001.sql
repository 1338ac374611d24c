-- Times are integer epoch seconds (or microseconds, _us), UTC. Bodies are JSON of the contract's types.
CREATE TABLE identity (id TEXT NOT NULL);
CREATE TABLE place (
    id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, site TEXT NOT NULL, provenance TEXT NOT NULL,
    UNIQUE (tenant, site, provenance)
);
-- One row a message of a hub's outbox, for ever once. `good` 0: it went to quarantine.
CREATE TABLE message (
    source TEXT NOT NULL, boot TEXT NOT NULL, seq INTEGER NOT NULL, stream TEXT NOT NULL, time_s INTEGER NOT NULL,
    good INTEGER NOT NULL, PRIMARY KEY (source, boot, seq)
) WITHOUT ROWID;
CREATE INDEX message_time ON message (time_s);
-- How far each outbox has come: everything up to `upto` is here or given up; (base, top] holds `stored` rows.
-- `counted` 0: only retained configuration came from it, whose holes mean nothing.
CREATE TABLE outbox (
    source TEXT NOT NULL, boot TEXT NOT NULL, base INTEGER NOT NULL, upto INTEGER NOT NULL, top INTEGER NOT NULL,
    stored INTEGER NOT NULL, counted INTEGER NOT NULL, PRIMARY KEY (source, boot)
) WITHOUT ROWID;
CREATE VIEW gap AS
    SELECT source, boot, before + 1 AS first, seq - 1 AS last, time_s FROM (
        SELECT m.source, m.boot, m.seq, m.time_s,
               LAG(m.seq, 1, o.base) OVER (PARTITION BY m.source, m.boot ORDER BY m.seq) AS before
        FROM message m JOIN outbox o USING (source, boot) WHERE o.counted AND m.seq > o.base AND m.good
    ) WHERE seq > before + 1;
CREATE TABLE visit (
    place_id INTEGER NOT NULL, visit_id TEXT NOT NULL, rev INTEGER NOT NULL, start_s INTEGER NOT NULL,
    end_s INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (place_id, visit_id)
) WITHOUT ROWID;
CREATE INDEX visit_start ON visit (place_id, start_s);
CREATE INDEX visit_end ON visit (end_s);
CREATE TABLE snapshot (
    place_id INTEGER NOT NULL, kind TEXT NOT NULL, time_us INTEGER NOT NULL, boot TEXT NOT NULL, seq INTEGER NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY (place_id, kind)
) WITHOUT ROWID;
CREATE TABLE node (
    tenant TEXT NOT NULL, site TEXT NOT NULL, node TEXT NOT NULL, kind TEXT NOT NULL, time_s INTEGER NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY (tenant, site, node, kind)
) WITHOUT ROWID;
CREATE TABLE event (
    place_id INTEGER NOT NULL, event_id TEXT NOT NULL, phase TEXT NOT NULL, time_s INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (place_id, event_id, phase)
) WITHOUT ROWID;
CREATE TABLE bucket (
    place_id INTEGER NOT NULL, origin TEXT NOT NULL, grain TEXT NOT NULL, start_s INTEGER NOT NULL,
    end_s INTEGER NOT NULL, rev INTEGER NOT NULL, published_rev INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (place_id, origin, grain, start_s)
) WITHOUT ROWID;
CREATE TABLE dirty (place_id INTEGER NOT NULL, hour_s INTEGER NOT NULL, PRIMARY KEY (place_id, hour_s)) WITHOUT ROWID;
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, reason TEXT NOT NULL, time_s INTEGER NOT NULL, size INTEGER NOT NULL,
    digest BLOB NOT NULL UNIQUE, body BLOB NOT NULL
);
CREATE TABLE quarantine_count (stream TEXT PRIMARY KEY, messages INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE sale (
    tenant TEXT NOT NULL, location_id TEXT NOT NULL, provenance TEXT NOT NULL, source TEXT NOT NULL,
    transaction_id TEXT NOT NULL, kind TEXT NOT NULL, sold_s INTEGER NOT NULL, gross_minor INTEGER NOT NULL,
    net_minor INTEGER NOT NULL, tax_minor INTEGER NOT NULL, currency TEXT NOT NULL, items INTEGER NOT NULL,
    tender TEXT NOT NULL, PRIMARY KEY (tenant, location_id, provenance, source, transaction_id, kind)
) WITHOUT ROWID;
CREATE INDEX sale_time ON sale (tenant, location_id, provenance, sold_s);
