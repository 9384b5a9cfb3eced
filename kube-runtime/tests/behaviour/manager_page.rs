//! A test of the manager's status page in headless Chromium, in light and dark mode. The test checks the DOM, not the
//! pixels. The test is skipped if no Chromium is installed. (Debian's package is `chromium`.)

use crate::common::{client, maps, put_map};
use kube_runtime::controller::{self, Action, backoff_on_error};
use kube_runtime::leader::LeaderElector;
use kube_runtime::{Controller, Manager, watcher};
use kube_sim::Sim;
use std::{
    convert::Infallible, future::pending, io, net::SocketAddr, path::Path, process::Stdio, sync::Arc,
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// A time limit for waits on the real clock.
const WAIT_LIMIT: Duration = Duration::from_secs(90);

/// The names of the browser programs that the test tries, in this order.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A script that sets attributes of the body: three computed colors, and whether the page is wider than the window.
const STYLE_SCRIPT: &str = "<script>
const style = element => getComputedStyle(document.querySelector(element));
const data = document.body.dataset;
data.background = style('body').backgroundColor;
data.text = style('body').color;
data.stuck = style('td.bad').color;
data.overflows = document.documentElement.scrollWidth > innerWidth;
</script></body>";

/// A color scheme. The discriminant is the value of Chromium's setting `preferredColorScheme`.
#[derive(Clone, Copy, PartialEq)]
enum ColorScheme {
    Dark = 0,
    Light = 1,
}

/// Loads a page in the browser. Returns the DOM, or `None` if there is no browser.
async fn load_dom(url: &str, scheme: ColorScheme, profile: &Path) -> Option<String> {
    for browser in BROWSERS {
        let mut command = Command::new(browser);
        // Disable the sandbox: it needs privileges that a container does not have.
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=800,600"]);
        command.arg(format!("--user-data-dir={}", profile.display()));
        command.arg(format!("--blink-settings=preferredColorScheme={}", scheme as u8));
        command.args(["--dump-dom", url]);
        command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        match timeout(WAIT_LIMIT, command.output()).await.expect("the browser ends") {
            Ok(output) => return Some(String::from_utf8(output.stdout).unwrap()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => panic!("cannot start {browser}: {error}"),
        }
    }
    None
}

/// Requests the page until its body contains `text`. Returns the body.
async fn wait_for_page_with(address: SocketAddr, text: &str) -> String {
    let found = async {
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            if body.contains(text) {
                return body.to_owned();
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WAIT_LIMIT, found).await.unwrap_or_else(|_| panic!("the page has no {text}"))
}

/// The brightness, from 0 to 765, of the color `rgb(r, g, b)` in an attribute of the body.
fn brightness(dom: &str, attribute: &str) -> u32 {
    let start = format!("data-{attribute}=\"rgb(");
    let (_, rest) = dom.split_once(&start).unwrap_or_else(|| panic!("no {start}: {dom}"));
    let (color, _) = rest.split_once(')').unwrap();
    color.split(", ").map(|part| part.parse::<u32>().unwrap()).sum()
}

#[tokio::test]
async fn a_browser_shows_the_page_in_light_and_dark_mode() {
    let sim = Sim::new();
    put_map(&sim, "hangs", "1");
    let elector = LeaderElector::new(client(&sim), "default", "operator", "pod");
    let mut manager = Manager::elected(elector).unwrap().listen("127.0.0.1:0").unwrap();
    manager = manager.render_metrics(String::new);
    let address = manager.address().unwrap();
    let limit = Duration::from_millis(1);
    let config = controller::Config::default().drain_timeout(Duration::ZERO).stall_limit(limit);
    let controller = Controller::new(maps(&sim), watcher::Config::default()).with_config(config);
    let reconcile = async |_, _| pending::<Result<Action, Infallible>>().await;
    manager.controller(controller.named("page-test"), reconcile, backoff_on_error, Arc::new(()));
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(manager.shutdown_on(async { drop(stopped.await) }).run());
    wait_for_page_with(address, "default/hangs").await;
    // The controller checks every 5 s whether a reconcile is stuck.
    for _ in 0..3 {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(5)).await;
        tokio::time::resume();
        // Give the manager time to renew the lease.
        sleep(Duration::from_millis(50)).await;
    }
    let page = wait_for_page_with(address, "<td class=bad>stuck").await;

    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("page.html");
    // The content security policy of the server forbids scripts. Therefore the test adds the script to a copy
    // of the page.
    std::fs::write(&copy, page.replace("</body>", STYLE_SCRIPT)).unwrap();
    for scheme in [ColorScheme::Light, ColorScheme::Dark] {
        let Some(served) = load_dom(&format!("http://{address}/"), scheme, folder.path()).await else {
            println!("skipped: there is none of {BROWSERS:?}; Debian's package is `chromium`");
            break;
        };
        // The browser closes the tags that the page leaves open.
        for part in [
            "<h1>Manager</h1>",
            "<p>operator: <b class=\"ok\">leader</b>, as pod_",
            "<tbody><tr><th>collection</th><th class=\"n\">objects</th>",
            "<tr><td>page-test</td><td class=\"n\">1</td>",
            "<h3>page-test</h3>",
            "<p>Queue: 0 ready, 0 delayed; 1 running.</p>",
            "<tr><td>default/hangs</td>",
            "<td class=\"bad\">stuck</td></tr>",
        ] {
            assert!(served.contains(part), "{part}: {served}");
        }
        let probed = load_dom(&format!("file://{}", copy.display()), scheme, folder.path()).await.unwrap();
        let [background, text, stuck] = ["background", "text", "stuck"].map(|name| brightness(&probed, name));
        assert_eq!(background < text, scheme == ColorScheme::Dark, "{probed}");
        assert!(background.abs_diff(text) > 400 && background.abs_diff(stuck) > 200, "{probed}");
        assert!(probed.contains("data-overflows=\"false\""), "{probed}");
    }
    stop.send(()).unwrap();
    timeout(WAIT_LIMIT, running).await.unwrap().unwrap().unwrap();
}
