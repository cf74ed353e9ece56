-- Notes which numbers are stored: KEYS[1] hash of sessions; ARGV[1] most bytes of a session's note;
-- ARGV[2..] session, first, last. A note is text such as "1-500,502-600", its newest at the end.
local function merged(note)
  local runs = {}
  for first, last in string.gmatch(note, '(%d+)%-(%d+)') do
    runs[#runs + 1] = { tonumber(first), tonumber(last) }
  end
  table.sort(runs, function(a, b) return a[1] < b[1] end)
  local kept = {}
  for _, run in ipairs(runs) do
    local before = kept[#kept]
    if before and run[1] <= before[2] + 1 then
      before[2] = math.max(before[2], run[2])
    else
      kept[#kept + 1] = run
    end
  end
  local words = {}
  for i, run in ipairs(kept) do words[i] = string.format('%.0f-%.0f', run[1], run[2]) end
  return (string.sub(note, 1, 1) == '!' and '!' or '') .. table.concat(words, ',')
end

local most = tonumber(ARGV[1])
for i = 2, #ARGV, 3 do
  local session, first, last = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local held = redis.call('HGET', KEYS[1], session)
  local note
  if not held then
    note = first .. '-' .. last
  else
    local head, ends = string.match(held, '^(.*%-)(%d+)$')
    if ends and tonumber(ends) + 1 == tonumber(first) then
      note = head .. last
    else
      note = held .. ',' .. first .. '-' .. last
    end
    if #note > most then note = merged(note) end
    -- More gaps than are kept: what does not fit is left out, and a "!" in front says so.
    if #note > most then note = (string.sub(held, 1, 1) == '!' and '' or '!') .. held end
  end
  if note ~= held then redis.call('HSET', KEYS[1], session, note) end
end
