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
local function added(held, first, last)
  if not held then return first .. '-' .. last end
  local head, ends = string.match(held, '^(.*%-)(%d+)$')
  local note
  if ends and tonumber(ends) + 1 == tonumber(first) then
    note = head .. last
  else
    note = held .. ',' .. first .. '-' .. last
  end
  if #note > most then note = merged(note) end
  -- More gaps than are kept: what does not fit is left out, and a "!" in front says so.
  if #note > most then note = (string.sub(held, 1, 1) == '!' and '' or '!') .. held end
  return note
end

-- Read and written together, many at a time: each call costs more than what is done with it. A
-- session has several runs in a row where there is a gap between them.
local AT_ONCE = 1000
for from = 2, #ARGV, 3 * AT_ONCE do
  local to = math.min(from + 3 * AT_ONCE - 1, #ARGV)
  local sessions, held, pairs = {}, {}, {}
  for i = from, to, 3 do
    if ARGV[i] ~= sessions[#sessions] then sessions[#sessions + 1] = ARGV[i] end
  end
  local notes = redis.call('HMGET', KEYS[1], unpack(sessions))
  local place = 0
  for i = from, to, 3 do
    if ARGV[i] ~= sessions[place] then place = place + 1 end
    notes[place] = added(notes[place], ARGV[i + 1], ARGV[i + 2])
  end
  for i, session in ipairs(sessions) do
    pairs[#pairs + 1] = session
    pairs[#pairs + 1] = notes[i]
  end
  redis.call('HSET', KEYS[1], unpack(pairs))
end
