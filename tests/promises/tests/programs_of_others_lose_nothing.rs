//! Proxies and clients of other projects lose no request over ten reloads. They come from Debian, with the
//! settings in `foreign/`. If a program has a setting for retries, it is off.

use promises::{Cluster, Failure, Load, Mode, Report, Suite};

promises::in_one_suite!(trixie: clients, proxies);

const RELOADS: usize = 10;
/// All workers at once, so that ten rollouts take half a minute.
const SETTINGS: &str = "workers = 4\n[rollout]\nsettle = \"100ms\"\nsurge = 4\n";

/// The clients: the interpreter of each, and the script.
const CLIENTS: [(&str, &str, &str); 6] = [
    ("ab.sh", "sh", include_str!("../foreign/ab.sh")),
    ("curl.sh", "sh", include_str!("../foreign/curl.sh")),
    ("nc.sh", "sh", include_str!("../foreign/nc.sh")),
    ("http_client.py", "python3", include_str!("../foreign/http_client.py")),
    ("httpx_http2.py", "python3", include_str!("../foreign/httpx_http2.py")),
    ("fetch.mjs", "node", include_str!("../foreign/fetch.mjs")),
];
/// Each client makes at least this many requests in that time, even on a busy machine.
const FEWEST: u64 = 100;
/// httpx loses a request on each of its four connections when their worker drains, and a reload drains eight
/// processes. curl and HAProxy lose none over HTTP/2.
const MOST_EXCUSED: u64 = 4 * 8 * RELOADS as u64;

fn clients(suite: Suite) {
    let cluster = Cluster::installed_beside_others(suite);
    let clients = CLIENTS.map(|(name, program, script)| cluster.start_client(name, program, script));
    reload_ten_times(&cluster);
    for client in clients {
        let name = client.name().to_owned();
        let told = client.stop();
        println!(
            "{suite}, {name}: {} requests, {} excused, lost: {:?}",
            told.requests, told.excused, told.errors
        );
        assert!(told.errors.is_empty() && told.requests >= FEWEST, "{name}: {told:#?}");
        assert!(told.excused == 0 || name == "httpx_http2.py", "{name}: {told:#?}");
        assert!(told.excused <= MOST_EXCUSED, "{name}: {told:#?}");
    }
}

/// The address of each proxy, and how its clients behave.
const PROXIES: [(&str, &str, &[Mode]); 5] = [
    ("nginx", "127.0.0.1:8081", &[Mode::WithGaps, Mode::Bodies]),
    ("HAProxy", "127.0.0.1:8082", &[Mode::WithGaps, Mode::Bodies, Mode::WebSockets]),
    // With WebSockets over HTTP/2 (RFC 8441).
    ("HAProxy, HTTP/2", "127.0.0.1:8083", &[Mode::WithGaps, Mode::Bodies, Mode::WebSockets]),
    ("Caddy", "127.0.0.1:8084", &[Mode::WithGaps, Mode::Bodies]),
    ("Caddy, HTTP/2", "127.0.0.1:8085", &[Mode::WithGaps, Mode::Bodies]),
];

fn proxies(suite: Suite) {
    const CONNECTIONS: u64 = 4;
    let cluster = Cluster::installed_beside_others(suite);
    for (path, settings) in [
        ("/etc/nginx/nginx.conf", include_str!("../foreign/nginx.conf")),
        ("/etc/haproxy/haproxy.cfg", include_str!("../foreign/haproxy.cfg")),
        ("/etc/caddy/Caddyfile", include_str!("../foreign/Caddyfile")),
    ] {
        cluster.write_file(path, settings);
    }
    cluster.systemctl(["restart", "nginx", "haproxy", "caddy"]).assert_success();
    let loads: Vec<(&str, Mode, Load)> = PROXIES
        .iter()
        .flat_map(|(proxy, address, modes)| modes.iter().map(move |mode| (*proxy, *address, *mode)))
        .map(|(proxy, address, mode)| (proxy, mode, cluster.load_at(address, mode, CONNECTIONS)))
        .collect();
    reload_ten_times(&cluster);
    for (proxy, mode, load) in loads {
        let report = load.stop();
        let excused = excused(proxy, mode, &report);
        let lost = report.failed() - excused;
        println!("{suite}, {proxy}, {mode:?}: {} answers, {excused} excused, {lost} lost", report.ok);
        assert!(report.ok >= FEWEST && lost == 0, "{proxy}, {mode:?}: {report}");
        // The client has not stayed with the first workers.
        assert!(mode != Mode::WithGaps || report.answers.len() > RELOADS, "{proxy}, {mode:?}: {report}");
    }
}

/// How many POSTs Caddy loses because of its own faults.
///
/// - It closes its own connection to the cluster while it hands over the response, and logs "use of closed
///   network connection". It does so without any reload as well: 11 of 39,000.
///   <https://github.com/caddyserver/caddy/issues/5431>
/// - If GOAWAY arrives before it has begun a stream, it tries the request again on another connection. But it has
///   closed the body by then. So it answers 502 and logs "invalid Read on closed Body".
///   <https://github.com/golang/go/issues/39086>, <https://github.com/caddyserver/caddy/issues/3428>. HAProxy
///   loses nothing over HTTP/2.
fn excused(proxy: &str, mode: Mode, report: &Report) -> u64 {
    let cut = report.count(Failure::Truncated).min(report.ok / 500);
    let begun_again = report.count(Failure::Status(502)).min(RELOADS as u64);
    match (proxy, mode) {
        ("Caddy", Mode::Bodies) => cut,
        ("Caddy, HTTP/2", Mode::Bodies) => cut + begun_again,
        _ => 0,
    }
}

fn reload_ten_times(cluster: &Cluster) {
    cluster.configure(SETTINGS);
    for _ in 0..RELOADS {
        let before = cluster.pids();
        cluster.reload();
        cluster.assert_all_replaced(&before);
    }
    cluster.assert_socket_is_whole();
}
