alter table deployment add column publishing_since timestamptz;

alter table reliability_window
    add column published_provisional  integer,
    add column published_settled      integer,
    add column published_at           timestamptz,
    add column published_again        text;

create index reliability_window_unpublished on reliability_window (membership, window_end)
where case state when 'settled' then published_settled else published_provisional end is null;
