-- Show that a worker lives, and find out whether Redis still has its data.
-- KEYS    servers:<server id>, marker, restoring, last_id, alive, grace
-- ARGV    host, pid, position of all its streams, lifetime of the worker's key in s, the marker it
--         knows or '', highest message id it has heard, ms for restoring, ms
--         without any worker that are an outage, client_timeout in ms
-- Returns the marker: it stays the same as long as the data does
-- Guarantee: atomic. Where the marker is missing it is set; where it is another one than the worker
-- knows, time is given to restore; message ids never go back. After an outage nobody has expired
-- who had not before it: clients have client_timeout to be seen again.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local marker = redis.call('GET', KEYS[2])
redis.call('HSET', KEYS[1], 'host', ARGV[1], 'pid', ARGV[2], 'position', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
if not marker then
  marker = string.format('%.0f', now)
  redis.call('SET', KEYS[2], marker)
end
if ARGV[5] ~= '' and ARGV[5] ~= marker and tonumber(ARGV[7]) > 0 then
  redis.call('SET', KEYS[3], marker, 'PX', ARGV[7])
end
local alive = redis.call('GET', KEYS[5])
if alive and now - alive > tonumber(ARGV[8]) then
  redis.call('SET', KEYS[6], redis.call('GET', KEYS[6]) or alive, 'PX', ARGV[9])
end
redis.call('SET', KEYS[5], string.format('%.0f', now))
local last = tonumber(redis.call('GET', KEYS[4]) or time[1] * 1000000 + time[2])
redis.call('SET', KEYS[4], string.format('%.0f', math.max(last, tonumber(ARGV[6]))))
return marker
