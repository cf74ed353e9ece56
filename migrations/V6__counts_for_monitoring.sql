-- The receiver counts devices whose credentials end soon, for whoever watches the fleet. It sees when
-- they end, and not whose they are.
grant select (state, expires_at) on devices to wegweiser_receiver;
