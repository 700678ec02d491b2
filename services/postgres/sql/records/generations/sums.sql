-- Reads sums over the generations of all workspaces, for the gauges. Relies on checkpoints_pkey.
SELECT coalesce(max(c.generation) FILTER (WHERE c.live), 0),
    count(*) FILTER (WHERE NOT c.live AND c.generation > k.generation),
    count(*) FILTER (WHERE NOT c.live AND c.generation < k.generation),
    coalesce(sum(c.position) FILTER (WHERE NOT c.live AND c.generation > k.generation), 0)::bigint,
    coalesce(sum(k.position) FILTER (WHERE NOT c.live AND c.generation > k.generation), 0)::bigint,
    coalesce(min(c.verified_at_ms) FILTER (WHERE c.live), 0)
FROM tidelog.checkpoints c
JOIN tidelog.checkpoints k ON k.workspace = c.workspace AND k.live
