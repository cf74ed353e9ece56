-- Removes notes that were moved: KEYS[1] hash of sessions; ARGV session, note as it was read. One
-- that was added to meanwhile stays, and is moved again.
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
