-- Sends the requests of a file in random order. The file has complete requests, separated by NUL. The arguments are
-- the file and a number. Sixteen # in a request are replaced by a number that is unique in this run.

local requests = {}
local has_number = {}
local sent = 0
local salt

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  for request in file:read("*a"):gmatch("[^%z]+") do
    requests[#requests + 1] = request
    has_number[#requests] = request:find(("#"):rep(16), 1, true) ~= nil
  end
  file:close()
  salt = arguments[2]
  math.randomseed(tonumber(salt))
end

function request()
  local which = math.random(#requests)
  if not has_number[which] then
    return requests[which]
  end
  sent = sent + 1
  return (requests[which]:gsub(("#"):rep(16), ("%s%08d"):format(salt, sent)))
end

function done(summary, latency)
  local errors = summary.errors
  print(('{"requests": %d, "seconds": %.6f, "p50": %.6f, "p99": %.6f, "failed": %d}'):format(
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
