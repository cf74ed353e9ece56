-- Puts points into a ring in time order, each time stamp once, and keeps the newest.
-- KEYS[1] ring; ARGV[1] most points; ARGV[2] life in seconds; ARGV[3..] elements, newest first.
local function stamp(element)
  return tonumber(string.match(element, '"timestamp":%s*(%-?%d+)') or '0')
end

local held = redis.call('LRANGE', KEYS[1], 0, -1)
local seen, merged = {}, {}
local function add(element)
  local at = stamp(element)
  if not seen[at] then
    seen[at] = true
    merged[#merged + 1] = { at, element }
  end
end
-- What is held goes first, so that a point that comes again changes nothing.
for _, element in ipairs(held) do add(element) end
for i = 3, #ARGV do add(ARGV[i]) end
table.sort(merged, function(a, b) return a[1] > b[1] end)

redis.call('DEL', KEYS[1])
local most = math.min(#merged, tonumber(ARGV[1]))
-- Many at a time: a call costs more than an element. Lua passes some thousand arguments.
for first = 1, most, 500 do
  local elements = {}
  for i = first, math.min(first + 499, most) do elements[#elements + 1] = merged[i][2] end
  redis.call('RPUSH', KEYS[1], unpack(elements))
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return most
