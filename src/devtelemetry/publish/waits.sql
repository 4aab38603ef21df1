where membership = $membership::text
  and case state when 'settled' then published_settled else published_provisional end is null
  and not exists (
      select 1 from reliability_window o
      where o.timeframe = w.timeframe and o.window_start = w.window_start and o.membership <> w.membership
        and case w.state when 'settled' then o.published_settled else o.published_provisional end > 0
  )
