-- A receiver in a channel is a membership: the spread over them is called so too.
alter table reliability_window rename column over_parts to over_memberships;
alter table reliability_channel rename column over_parts to over_memberships;
alter table reliability_group rename column over_parts to over_memberships;
-- From PostgreSQL 18 on "not null" has a name, too.
do $$
begin
    if exists (select from pg_constraint where conname = 'reliability_group_over_parts_not_null') then
        alter table reliability_group
            rename constraint reliability_group_over_parts_not_null to reliability_group_over_memberships_not_null;
    end if;
end
$$;
