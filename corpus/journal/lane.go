package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Lane is where a worker notes what is in flight. All methods of a nil Lane do nothing.
type Lane struct {
	file *os.File
	mem  []byte // the whole file
	sync bool   // batches
	// careful says that what runs alone has to outlive the machine as well.
	careful bool
	// What runs in a batch, what runs alone, what is looked into, and the batch before: one
	// that is being stored leaves that alone until it is.
	batch, alone, held, before area
	// Bytes and inputs of the batch so far, and inputs for which there was no room.
	size, noted, left int
}

// Lane makes the lane of a worker, with room for inputs of so many bytes, which include
// Overhead for each step. The disk space for it is taken at once: a mapping that finds
// none later ends the process.
func (j *Journal) Lane(worker, room int) (*Lane, error) {
	if j == nil {
		return nil, nil
	}
	path := filepath.Join(j.dir, lanePrefix+strconv.Itoa(worker))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("making the journal of worker %d: %w", worker, err)
	}
	size := areaSize(room)
	// First of all the header: a process may be killed before all is in place.
	head := binary.LittleEndian.AppendUint64(j.head.append(nil), uint64(size))
	var mem []byte
	if _, err = f.WriteAt(head, 0); err == nil {
		mem, err = mapFile(f, laneHeader+areas*size)
	}
	if err == nil {
		err = errors.Join(f.Sync(), syncDir(j.dir))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mapping the journal %s: %w; it takes %d bytes of disk space, or the run has to do without", path, err, laneHeader+areas*size), f.Close(), os.Remove(path))
	}
	l := &Lane{file: f, mem: mem, sync: j.opts.Sync, careful: j.opts.Sync || j.left.Restarted}
	for i, a := range [areas]*area{&l.batch, &l.alone, &l.held, &l.before} {
		at := laneHeader + i*size
		*a = mem[at : at+size] // the capacity says where it is
	}
	j.mu.Lock()
	j.lanes = append(j.lanes, l)
	j.mu.Unlock()
	return l, nil
}

// Overhead is the most bytes that a step takes in a journal besides its own, its
// input's included.
const Overhead = recordHeader + stepHeader + stepExtra

// areaSize is whole cache lines.
func areaSize(room int) int { return (areaHeader + min(max(room, minRoom), MaxRoom) + 63) &^ 63 }

// Begin begins a new batch, in place of the one before, from which nothing more comes.
func (l *Lane) Begin() {
	if l != nil {
		if l.sync {
			l.batch, l.before = l.before, l.batch
		}
		l.batch.set(empty)
		l.size, l.noted, l.left = 0, 0, 0
	}
}

// Add adds an input to the batch. It does not allocate and keeps nothing of in.
func (l *Lane) Add(in *corpus.Input) {
	if l == nil {
		return
	}
	size := put(l.batch[areaHeader+l.size:], in)
	if size == 0 {
		l.left++
		return
	}
	l.size += size
	l.noted++
}

// Run says that the batch runs next.
func (l *Lane) Run() error {
	if l == nil {
		return nil
	}
	l.batch.finish(l.size, l.noted, l.left, l.sync)
	if !l.sync {
		return nil
	}
	return l.store(l.batch)
}

// Ran says that the batch has run. It stays noted until the next one: something may
// come of it.
func (l *Lane) Ran() {
	if l != nil {
		l.batch.set(ran)
	}
}

// Alone notes the input that runs alone next, in place of the one before.
func (l *Lane) Alone(in *corpus.Input) {
	if l != nil {
		l.alone.writeOne(in, false)
	}
}

// AloneRan says that it has run.
func (l *Lane) AloneRan() {
	if l != nil {
		l.alone.set(ran)
	}
}

// Suspect notes an input that was in flight when another process ended. Where that was
// because the machine went down, or the journal is to outlive it, it returns when that
// is on stable storage.
func (l *Lane) Suspect(in *corpus.Input) error {
	if l == nil {
		return nil
	}
	l.alone.writeOne(in, l.careful)
	if !l.careful {
		return nil
	}
	return l.store(l.alone)
}

// Hold notes an input that is looked into, which takes a while.
func (l *Lane) Hold(in *corpus.Input) {
	if l != nil {
		l.held.writeOne(in, false)
		l.held.set(ran)
	}
}

// Release says that something has come of it, or nothing will.
func (l *Lane) Release() {
	if l != nil {
		l.held.set(empty)
	}
}

// store has an area on stable storage.
func (l *Lane) store(a area) error {
	at := cap(l.mem) - cap(a)
	used := areaHeader + int(binary.LittleEndian.Uint64(a[8:]))
	if err := syncMapping(l.mem[at&^(pageSize()-1) : at+used]); err != nil {
		return fmt.Errorf("storing the journal %s: %w", l.file.Name(), err)
	}
	return nil
}

// close gives up the lane; clean also removes its file.
func (l *Lane) close(clean bool) error {
	errs := []error{unmap(l.mem), l.file.Close()}
	l.mem, l.batch, l.alone, l.held, l.before = nil, nil, nil, nil, nil
	if clean {
		errs = append(errs, os.Remove(l.file.Name()))
	}
	return errors.Join(errs...)
}
