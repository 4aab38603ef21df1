alter table receiver rename column described_at to platform_minute;
-- From PostgreSQL 18 on "not null" has a name, too.
do $$
begin
    if exists (select from pg_constraint where conname = 'receiver_described_at_not_null') then
        alter table receiver rename constraint receiver_described_at_not_null to receiver_platform_minute_not_null;
    end if;
end
$$;
alter table receiver add column app_version_minute bigint not null default 0;

-- Both were dated by one report. What was never said has no date, so that whatever is said of it is later.
update receiver
set platform_minute = case when platform = '' then 0 else platform_minute / 60000 * 60000 end,
    app_version_minute = case when app_version = '' then 0 else platform_minute / 60000 * 60000 end
where platform_minute <> 0;
