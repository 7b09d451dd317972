//! Another task, which listens for whoever comes.

use std::time::Duration;

use armor::task::Task;
use armor::{CommandLine, Execute, Lifecycle};
use armor_testkit::Home;
use tokio_util::sync::CancellationToken;

use crate::Failure;

/// The port that it listens on.
const PORT: u16 = 9000;

/// Longer than all cases take.
const LIMIT: Duration = Duration::from_hours(2);

/// Tells whoever connects that he has reached it.
const LISTEN: &str = r"
import socket, sys
listening = socket.create_server(('0.0.0.0', int(sys.argv[1])))
body = b'REACHED another task\n'
while True:
    came, _ = listening.accept()
    try:
        came.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n' % len(body) + body)
        came.close()
    except OSError:
        pass
";

/// Says which addresses it has, once it has seen that it listens there.
const LOOK: &str = r"
import socket, sys, time
last, own = '', []
for line in open('/proc/net/fib_trie'):
    line = line.strip()
    if line.startswith('|-- '):
        last = line[4:]
    elif line.startswith('/32 host LOCAL') and not last.startswith('127.') and last not in own:
        own.append(last)
assert own, 'it is on no network'
until = time.time() + 30
for address in own:
    while True:
        try:
            came = socket.create_connection((address, int(sys.argv[1])), 5).makefile().read()
            assert 'another task' in came
            break
        except OSError:
            assert time.time() < until, 'it does not listen'
            time.sleep(0.1)
    print(address)
";

/// How another task would be addressed.
#[derive(Debug, Default)]
pub(crate) struct Neighbour {
    addresses: Vec<String>,
    names: Vec<String>,
}

impl Neighbour {
    /// Has a task listen.
    pub(crate) async fn listen(
        lifecycle: &Lifecycle,
        home: &Home,
        task: &Task,
    ) -> Result<Self, Failure> {
        let python = |program: &str| {
            let words = ["python3", "-c", program, &PORT.to_string()].map(str::to_owned);
            Execute::new(CommandLine::Argv(words.into()))
        };
        let id = task.id.as_str();
        let listen = Execute { timeout: Some(LIMIT), ..python(LISTEN) };
        lifecycle.begin(id, listen).await?;
        let looked = lifecycle.execute(id, python(LOOK), CancellationToken::new()).await?;
        let addresses: Vec<_> = looked.stdout.text.lines().map(str::to_owned).collect();
        if looked.execution.end.as_ref().and_then(|end| end.exit_code) != Some(0) {
            return Err(
                format!("a task does not listen, so nobody can reach it: {looked:?}").into()
            );
        }
        let mut names = vec![id.to_owned(), task.name.to_string()];
        // As the engine calls its container.
        names.extend(home.id().await.map(|home| format!("armor-{home}-{id}")));
        Ok(Self { addresses, names })
    }

    /// What cases are told of several.
    pub(crate) fn variables(neighbours: &[Self]) -> [(String, String); 3] {
        let addresses: Vec<_> = neighbours.iter().flat_map(|one| one.addresses.clone()).collect();
        let names: Vec<_> = neighbours.iter().flat_map(|one| one.names.clone()).collect();
        [
            ("TASK_PORT".to_owned(), PORT.to_string()),
            ("TASK_ADDRESSES".to_owned(), addresses.join(" ")),
            ("TASK_NAMES".to_owned(), names.join(" ")),
        ]
    }
}
