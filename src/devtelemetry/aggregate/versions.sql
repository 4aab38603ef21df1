-- What was expected of each receiver that has one of two app versions, in strata that have both. The end of
-- reliability.sql's statement.
--
-- A receiver counts with the version that it reported last, in windows after the minute in which it last reported
-- another one. In windows that ended by that minute, it counts with that other version. In the window around that
-- minute its version is not known, and the receiver is left out.
--
-- in   versions       text[]: app versions
--      platform       only receivers on this platform; NULL: on any
--      start_ms, end_ms, audit_channels: as in reliability.sql
-- out  channel_id, platform, version, receiver_id, pairs (corroborated), missing. For strata that lack one of the
--      versions, only the sums by version, with NULL in the other columns
version_of_membership as (
    select
        channel_id,
        receiver_id,
        k.platform,
        case when app_version_before_minute < $start_ms::bigint then k.app_version
             when app_version_before_minute >= $end_ms::bigint then app_version_before
        end as version,
        sum(corroborated)::bigint as pairs,
        sum(missing)::bigint as missing
    from kind_of_membership k
    join receiver using (receiver_id)
    join channel using (channel_id)
    where external_id not like $audit_channels::text
      and ($platform::text is null or k.platform = $platform::text)
      and (k.app_version = any ($versions::text[]) or app_version_before = any ($versions::text[]))
    group by channel_id, receiver_id, k.platform, k.app_version, app_version_before_minute, app_version_before
),

of_these as (
    select
        *,
        min(version) over stratum <> max(version) over stratum as is_matched
    from version_of_membership
    where version = any ($versions::text[]) and pairs > 0
    window stratum as (partition by channel_id, platform)
)

select channel_id, platform, version, receiver_id, pairs, missing
from of_these
where is_matched
union all
select null, null, version, null, sum(pairs)::bigint, sum(missing)::bigint
from of_these
where not is_matched
group by version
