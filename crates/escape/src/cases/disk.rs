//! More of the host's disk than the task may have: `place.rs` says how much that is, and has it watched.
//! A case that has it for long succeeds; what stops the sandbox kills it.

use crate::case::Attempt::Python;
use crate::{Area, Case};

const fn disk(name: &'static str, program: &'static str) -> Case {
    Case::ours(Area::Disk, name, Python(program)).or_killed()
}

pub(super) const CASES: &[Case] = &[
    disk("fill the disk with a file of the workspace", ONE),
    disk("fill the disk with a file of the memory", MEMORY),
    disk("fill the disk with many small files", MANY),
    disk("fill the disk again behind a name that is gone", AGAIN),
];

const ONE: &str = r"
import time
with open('/workspace/full', 'wb') as file:
    for _ in range(160):
        file.write(os.urandom(1 << 20))
    os.fsync(file.fileno())
time.sleep(150)
print('REACHED', os.stat('/workspace/full').st_size >> 20, 'MiB stay')
";

const MEMORY: &str = r"
import time
full = os.environ['HOME'] + '/full'
with open(full, 'wb') as file:
    for _ in range(160):
        file.write(os.urandom(1 << 20))
    os.fsync(file.fileno())
time.sleep(150)
print('REACHED', os.stat(full).st_size >> 20, 'MiB stay')
";

/// Each takes a block of 4 KiB at least.
const MANY: &str = r"
import time
for folder in range(40):
    os.mkdir(f'/workspace/{folder}')
    for number in range(1000):
        with open(f'/workspace/{folder}/{number}', 'w') as file:
            file.write('mine')
os.sync()
time.sleep(150)
print('REACHED', 40000, 'files stay')
";

/// Removed and made anew, so that each look sees another file.
const AGAIN: &str = r"
import time
until = time.time() + 150
while time.time() < until:
    name = f'/workspace/{time.time()}'
    with open(name, 'wb') as file:
        for _ in range(160):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
    time.sleep(5)
    os.unlink(name)
print('REACHED', 160, 'MiB again and again')
";
