-- Load for .ci/live: each thread of wrk hands in jobs under keys of its own, and writes down which were acknowledged.
local threads = 0

function setup(thread)
  thread:set("thread", threads)
  threads = threads + 1
end

function init()
  local file = assert(io.open(os.getenv("PHOTO"), "rb"))
  photo = file:read("*a")
  file:close()
  acknowledged = assert(io.open(os.getenv("ACKNOWLEDGED") .. "." .. thread, "w"))
  account = os.getenv("ACCOUNT")
  headers = { ["Authorization"] = "Bearer " .. os.getenv("CREDENTIAL") }
  number = 0
end

local function width(operation)
  return 100 + operation % 100
end

function request()
  number = number + 1
  local operation = 10000 + 2 * number + thread
  headers["Idempotency-Key"] = account .. "." .. operation
  return wrk.format("POST", "/v1/jobs?w=" .. width(operation) .. "&fmt=png", headers, photo)
end

-- Milliseconds: some 25 requests/s of four connections are load enough for a stack that is built for debugging.
function delay()
  return 150
end

function response(status, _, body)
  local operation = status == 202 and body:match('"id":"%d+%.(%d+)"')
  if operation then
    acknowledged:write(account, ".", operation, " ", width(tonumber(operation)), "\n")
    acknowledged:flush()
  end
end
