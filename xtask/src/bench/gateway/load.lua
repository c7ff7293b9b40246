-- What wrk sends: METHOD SIZE ROUTES [TOKENS], each request to the next route as the next user.
local requests, count, at = {}, 0, 0

function init(arguments)
  local method, size, routes, tokens = arguments[1], arguments[2], tonumber(arguments[3]), arguments[4]
  local body = method == "POST" and string.rep("x", 16 * 1024) or nil
  local bearers = {}
  if tokens then
    for line in io.lines(tokens) do bearers[#bearers + 1] = line end
  end
  count = math.max(1000, routes)
  for number = 0, count - 1 do
    local headers = { ["Host"] = "shop.example", ["X-User-Id"] = "user-" .. (number % 1000) }
    if #bearers > 0 then
      headers["Authorization"] = "Bearer " .. bearers[number % #bearers + 1]
    end
    local path = "/area-" .. (number * 7 % routes) .. "/items/" .. size
    requests[number + 1] = wrk.format(method, path, headers, body)
  end
end

function request()
  at = at % count + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("figures %d %d %d %d %d\n", summary.requests, summary.duration, failed,
    latency:percentile(50), latency:percentile(99)))
end
