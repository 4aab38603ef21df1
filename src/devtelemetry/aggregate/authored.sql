-- What became of messages with exactly one author: for each author, pairs by the state of their receipt, counted over
-- receivers that are alike. The third of three passes over the window's receipts. Source: docs/algorithm.md, "Authors
-- and paths".
--
-- in   start_ms, end_ms       of the window, Unix ms, half-open, whole minutes
--      those of is_measured.sql
--      left_out_channels, left_out_messages   bigint[]: the messages that are measured and not in M
--      member_channels, member_receivers, member_classes, member_begins, member_ends
--                             the spans of sentAt, half-open, in which it is known whether a member holds what was
--                             sent; the spans of one member do not overlap. Arrays of bigint as text. The classes are
--                             bigint too, because a cluster takes them for bigint in any case
--      {cell_kind}, {tells_authors}   as in authors.sql
--
-- A statement of its own, as kind_of_window.sql is, so that workers can run it. Workers see no temporary tables, so
-- what they need of these tables comes in as parameters. The receipts of a message lie together in the key. So no
-- message is looked up, and a hash table holds only the counts that come out.
create temp table authored on commit drop as
select channel_id, kind, author_id, class, state, sum(n)::bigint as n
from (
    -- include: authored_slice.sql slice=0 of=2
    union all
    -- include: authored_slice.sql slice=1 of=2
) slice_of_window
group by channel_id, kind, author_id, class, state
