-- Append a message to the log of every matching subscription and notify the workers following it.
-- KEYS    last_id, operations:<operation>, marker,
--         then channels:<name> and messages:<name> for each name the channel expands to
-- ARGV    payload, channel, lifetime of the operation in ms, ms a log keeps a message,
--         messages a log keeps, lifetime of a log in ms, highest message id the caller knows of,
--         ms after the marker during which there may be subscribers that are yet to be put back,
--         then a pub/sub channel for each name
-- Returns the message id, as a string of microseconds
-- Guarantee: atomic; at most once per operation; ids only grow. Costs nothing per subscriber.
local done = redis.call('GET', KEYS[2])
if done then
  return done
end

local time = redis.call('TIME')
local last = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), tonumber(ARGV[7]))
local number = math.max(time[1] * 1000000 + time[2], last + 1)
local id = string.format('%.0f', number)
redis.call('SET', KEYS[1], id)
redis.call('SET', KEYS[2], id, 'PX', ARGV[3])

local notice = id .. ' ' .. ARGV[2] .. ' ' .. ARGV[1]
local oldest = string.format('%.0f', number - ARGV[4] * 1000)
local restoring = tonumber(ARGV[8])
if restoring > 0 then
  local marker = redis.call('GET', KEYS[3])
  local age = time[1] * 1000 + math.floor(time[2] / 1000) - (marker or 0)
  restoring = (not marker or age < restoring) and 2 * restoring or 0
end
for i = 9, #ARGV do
  local subscribers, log = KEYS[2 * i - 14], KEYS[2 * i - 13]
  local subscribed = redis.call('EXISTS', subscribers) == 1
  if subscribed or restoring > 0 then
    redis.call('XADD', log, 'MINID', '~', oldest, id .. '-0', 'c', ARGV[2], 'p', ARGV[1])
    if redis.call('XLEN', log) > ARGV[5] * 1.1 then
      redis.call('XTRIM', log, 'MAXLEN', ARGV[5])
    end
    local lifetime = subscribed and tonumber(ARGV[6]) or restoring
    if redis.call('PTTL', log) < lifetime / 2 then
      redis.call('PEXPIRE', log, string.format('%.0f', lifetime))
    end
    redis.call('PUBLISH', ARGV[i], notice)
  end
end
return id
