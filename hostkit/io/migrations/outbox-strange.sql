-- Names tables with values of a kind nobody wrote there.
SELECT 'meta' FROM meta WHERE typeof(value) != 'text' OR name IN ('gone', 'lost', 'lost_visits') AND value GLOB '*[^0-9]*'
UNION SELECT 'outbox' FROM outbox WHERE typeof(at_s) != 'integer' OR typeof(payload) != 'blob'
UNION SELECT 'taken' FROM taken WHERE typeof(probe) != 'text' OR typeof(boot) != 'integer' OR typeof(upto) != 'integer'
UNION SELECT 'life' FROM life WHERE typeof(id) != 'text' OR typeof(key_id) != 'integer' OR typeof(visits) != 'integer'
    OR typeof(site) != 'text'
UNION SELECT 'journal' FROM journal WHERE typeof(sealed) != 'blob'
UNION SELECT 'checkpoint' FROM checkpoint WHERE typeof(bursts) != 'blob'
UNION SELECT 'visit' FROM visit WHERE typeof(end_s) != 'real' OR typeof(data) != 'blob'
UNION SELECT 'bucket' FROM bucket WHERE typeof(rev) != 'integer' OR typeof(payload) != 'blob'
UNION SELECT 'day' FROM day WHERE typeof(rev) != 'integer' OR typeof(payload) != 'blob'
UNION SELECT 'lost' FROM lost WHERE typeof(first) != 'integer' OR typeof(rows) != 'integer'
    OR typeof(since_s) != 'integer' OR typeof(until_s) != 'integer' OR reason NOT IN (REASONS)
