alter table receiver add column app_version_before text not null default '';
alter table receiver add column app_version_before_minute bigint not null default 0;
