-- What became of messages that one receiver wrote, author by author: pairs by the state of their receipt, counted over
-- receivers that are alike. The third of three passes over its receipts. Source: docs/algorithm.md, "Authors and paths".
--
-- in   start_ms, end_ms       of the window, Unix ms, half-open, whole minutes
--      those of is_measured.sql
--      left_out_channels, left_out_messages   bigint[]: what is measured and not in M
--      member_channels, member_receivers, member_classes, member_begins, member_ends
--                             the spans of sentAt, half-open, in which it can be said of members whether they hold what was
--                             sent; those of a member are apart. Arrays, written out, and all
--                             of bigint: a cluster takes the third for one in any case
--      {cell_kind}, {tells_authors}   as in authors.sql
--
-- A statement of its own, as kind_of_window.sql is, for the same workers. They see no temporary tables, so what they need of
-- these comes in. The receipts of a message lie together in the key: no message is looked up, and no table of hashes has
-- more than what comes out.
create temp table authored on commit drop as
select channel_id, kind, author_id, class, state, sum(n)::bigint as n
from (
    -- include: authored_slice.sql slice=0 of=2
    union all
    -- include: authored_slice.sql slice=1 of=2
) slice_of_window
group by channel_id, kind, author_id, class, state
