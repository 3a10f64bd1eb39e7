-- For wrk: asks for the paths in the file BENCH_PATHS, in turn, and tells of the slowest 1 in 20, too.
local requests, at = {}, 0

function init()
    for path in io.lines(os.getenv("BENCH_PATHS")) do
        requests[#requests + 1] = wrk.format("GET", path)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(_, latency)
    print(string.format("95%% %.2fms", latency:percentile(95) / 1000))
end
