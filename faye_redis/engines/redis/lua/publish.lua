-- Append a message to the log of every matching subscription and notify the workers following it.
-- KEYS    operations:<operation>, last_id, marker, grace,
--         then channels:<name>, messages:<name> and trimmed:<name> for each name the channel
--         expands to
-- ARGV    payload, highest message id the caller knows of, channel, lifetime of the operation in
--         ms, ms a log keeps a message, messages a log keeps, lifetime of a log in ms, ms after the
--         marker during which there may be subscribers that are yet to be put back, then a pub/sub
--         channel for each name
-- Returns the message id, as a string of microseconds
-- Guarantee: atomic; at most once per operation; ids only grow. Costs nothing per subscriber. What
-- is removed from a log is known by trimmed:<name>, which lives at least as long as the log.
local TRIM_EVERY = 16  -- messages: age is looked at that often on the average

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local number = math.max(now, (redis.call('GET', KEYS[2]) or 0) + 1, ARGV[2] + 1)
local id = string.format('%.0f', number)
local done = redis.call('SET', KEYS[1], id, 'NX', 'GET', 'PX', ARGV[4])
if done then
  return done
end
redis.call('SET', KEYS[2], id)

local notice = id .. ' ' .. ARGV[3] .. ' ' .. ARGV[1]
local restoring = tonumber(ARGV[8])
if restoring > 0 then
  local marker = redis.call('GET', KEYS[3])
  local is_over = marker and math.floor(now / 1000) - marker >= restoring
  restoring = is_over and 0 or math.max(2 * restoring, ARGV[5])
end

for i = 9, #ARGV do
  local subscribers, log, trimmed = KEYS[3 * i - 22], KEYS[3 * i - 21], KEYS[3 * i - 20]
  local subscribed = redis.call('EXISTS', subscribers) == 1
  if subscribed or restoring > 0 then
    local lifetime, removed = subscribed and ARGV[7] or restoring
    redis.call('XADD', log, id .. '-0', 'c', ARGV[3], 'p', ARGV[1])
    -- Written out here: functions would be made anew for every message, which costs as much as
    -- two calls.
    if number % TRIM_EVERY == 0 then
      local reference = (redis.call('GET', KEYS[4]) or number / 1000) - ARGV[5]
      local oldest = string.format('%.0f', reference * 1000)
      local before = '(' .. oldest .. '-0'
      -- Looked for from this end: from the other one it takes all of the log.
      if #redis.call('XRANGE', log, '-', before, 'COUNT', 1) > 0 then
        removed = redis.call('XREVRANGE', log, before, '-', 'COUNT', 1)[1]
        redis.call('XTRIM', log, 'MINID', oldest)
      end
    end
    if redis.call('XLEN', log) > ARGV[6] * 1.1 then
      redis.call('XTRIM', log, 'MAXLEN', ARGV[6] + 1)
      removed = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
      redis.call('XTRIM', log, 'MAXLEN', ARGV[6])
    end
    if removed then
      redis.call('SET', trimmed, string.match(removed[1], '%d+'), 'PX', lifetime)
    end
    if redis.call('PTTL', log) < lifetime / 2 then
      redis.call('PEXPIRE', log, lifetime)
      redis.call('PEXPIRE', trimmed, lifetime)
    end
    redis.call('PUBLISH', ARGV[i], notice)
  end
end
return id
