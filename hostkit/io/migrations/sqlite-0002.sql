-- Messages `first` to `last` an outbox had to drop, in its own words: at a cap of age or size, with `rows` visits.
CREATE TABLE lost (
    source TEXT NOT NULL, boot TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, reason TEXT NOT NULL,
    rows INTEGER NOT NULL, since_s INTEGER NOT NULL, until_s INTEGER NOT NULL, PRIMARY KEY (source, boot, last)
) WITHOUT ROWID;
-- Where its data comes from; of one that was here before, what its site is known for.
ALTER TABLE outbox ADD COLUMN provenance TEXT NOT NULL DEFAULT 'live';
UPDATE outbox SET provenance = coalesce(
    (SELECT min(provenance) FROM place WHERE source LIKE '/' || tenant || '/' || site || '/%'), 'live'
);
