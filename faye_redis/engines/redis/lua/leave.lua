-- Take clients that no longer exist out of the subscribers of channels.
-- KEYS    channels:<channel>, messages:<channel> and trimmed:<channel> for each channel
-- ARGV    client ids
-- Returns 1
-- Guarantee: idempotent; a log goes with its last subscriber. Client ids are never used again, so
-- it cannot undo a new subscription.
for i = 1, #KEYS, 3 do
  for _, client_id in ipairs(ARGV) do
    redis.call('SREM', KEYS[i], client_id)
  end
  if redis.call('EXISTS', KEYS[i]) == 0 then
    redis.call('DEL', KEYS[i + 1], KEYS[i + 2])
  end
end
return 1
