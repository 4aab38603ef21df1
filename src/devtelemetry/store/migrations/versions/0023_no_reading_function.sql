-- A cluster does not look into functions: store/author_clocks.sql says it in a statement.
drop function author_clock_offset(bigint, bigint, bigint);
