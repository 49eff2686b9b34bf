// Package journal notes inputs before they run, in memory that outlives the process:
// when it is killed, or an input ends it, the next one learns what was in flight.
//
// A journal is a directory of
//
//	worker-N   a file mapping in which worker N notes its batch, the input that runs
//	           alone, and the one that is looked into; where it is stored, the batch before
//	entries    corpus entries that are not on stable storage yet
//	suspects   what earlier processes left and nobody has run again since
//
// Integers are little-endian. Each file begins with a header of 64 bytes: the magic
// "bpfzjrnl", the version (u32), four bytes that are zero, the run's number (u64) and,
// 40 bytes long, the machine's boot id, filled up with zero bytes. A process that ends
// in order takes its journal away.
package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Options says how to keep a journal. The zero value notes inputs in memory that
// outlives the process and not the machine.
type Options struct {
	// Sync has each batch on stable storage before it runs, so that it outlives the
	// machine as well.
	Sync bool
	// Aside is the directory to which files are moved that cannot be read; "" means
	// "corrupt" beside the journal's.
	Aside string
}

// Journal is the journal of a running process. Its methods are safe for concurrent
// use; those of a Lane belong to one goroutine.
type Journal struct {
	dir  string
	opts Options
	head header
	left Left

	mu      sync.Mutex
	lanes   []*Lane
	entries *os.File
	size    int64 // of entries
	settled bool
}

const (
	lanePrefix   = "worker-"
	entriesName  = "entries"
	suspectsName = "suspects"
	tempPrefix   = ".tmp-"
)

// Open reads what earlier processes left in the directory and begins a journal there;
// the directory is made if it is missing. Left stays in the journal until Settle. The
// caller makes sure that no other process has the directory.
func Open(dir string, opts Options) (*Journal, error) {
	if opts.Aside == "" {
		opts.Aside = filepath.Join(filepath.Dir(filepath.Clean(dir)), "corrupt")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the journal's directory %s: %w", dir, err)
	}
	j := &Journal{dir: dir, opts: opts, head: newHeader()}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the journal's directory %s: %w", dir, err)
	}
	r := newReader(dir, j.head.boot)
	for _, f := range files {
		if err := r.file(f.Name()); err != nil {
			r.left.Problems = append(r.left.Problems, setAside(filepath.Join(dir, f.Name()), opts.Aside, err))
		}
	}
	j.left = r.result()
	if err := j.take(&r, files); err != nil {
		return nil, err
	}
	return j, nil
}

// newHeader names this run. The number only has to differ from that of the run before.
func newHeader() header {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // "" where there is none
	return header{run: uint64(time.Now().UnixNano()), boot: strings.TrimSpace(string(boot))}
}

// take makes what was left the suspects of this journal, and then removes the files
// that it was read from.
func (j *Journal) take(r *reader, files []fs.DirEntry) error {
	j.settled = len(r.all) == 0
	if !j.settled {
		if err := j.writeSuspects(r); err != nil {
			return fmt.Errorf("writing %s: %w", filepath.Join(j.dir, suspectsName), err)
		}
	}
	for _, f := range files {
		if !isOurs(f.Name()) || f.Name() == suspectsName && !j.settled {
			continue
		}
		if err := os.Remove(filepath.Join(j.dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing what is left of a journal: %w", err)
		}
	}
	return syncDir(j.dir)
}

// isOurs reports whether a file of the directory is one that a journal makes.
func isOurs(name string) bool {
	return name == entriesName || name == suspectsName || strings.HasPrefix(name, lanePrefix) || strings.HasPrefix(name, tempPrefix)
}

// Left returns what earlier processes left. It is the journal's.
func (j *Journal) Left() *Left { return &j.left }

// Settle says that what was left has been run again.
func (j *Journal) Settle() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.settled {
		return nil
	}
	j.settled = true
	if err := os.Remove(filepath.Join(j.dir, suspectsName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing what is left of a journal: %w", err)
	}
	return syncDir(j.dir)
}

// Syncs reports whether the journal is to outlive the machine.
func (j *Journal) Syncs() bool { return j != nil && j.opts.Sync }

// Entry notes a corpus entry that is still to be stored. A nil journal notes nothing.
func (j *Journal) Entry(in *corpus.Input) error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.appendEntry(in); err != nil {
		return fmt.Errorf("noting a corpus entry in %s: %w", filepath.Join(j.dir, entriesName), err)
	}
	return nil
}

func (j *Journal) appendEntry(in *corpus.Input) error {
	if j.entries == nil {
		f, err := os.OpenFile(filepath.Join(j.dir, entriesName), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return err
		}
		j.entries = f
		if _, err := f.WriteAt(j.head.append(nil), 0); err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), syncDir(j.dir)); err != nil {
			return err
		}
		j.size = headerSize
	}
	frame := appendFrame(nil, 0, in)
	if _, err := j.entries.WriteAt(frame, j.size); err != nil {
		return err
	}
	j.size += int64(len(frame))
	return nil
}

// Stored says that all entries that were noted are on stable storage.
func (j *Journal) Stored() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.entries == nil || j.size == headerSize {
		return nil
	}
	j.size = headerSize
	if err := j.entries.Truncate(headerSize); err != nil {
		return fmt.Errorf("emptying %s: %w", filepath.Join(j.dir, entriesName), err)
	}
	return nil
}

// Close gives memory and files back. Clean says that nothing is in flight: it takes
// away all that was noted, but not what Settle was not called for.
func (j *Journal) Close(clean bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var errs []error
	for _, l := range j.lanes {
		errs = append(errs, l.close(clean))
	}
	j.lanes = nil
	if j.entries != nil {
		errs = append(errs, j.entries.Close())
		if clean {
			errs = append(errs, os.Remove(j.entries.Name()))
		}
		j.entries = nil
	}
	if clean && j.settled {
		if err := os.Remove(j.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the journal %s: %w", j.dir, err)
	}
	return nil
}

// setAside moves a file away that is not good for a reason, and returns the reason
// with what became of the file.
func setAside(path, dir string, reason error) error {
	err := os.MkdirAll(dir, 0o755)
	to := filepath.Join(dir, fmt.Sprintf("journal-%s-%d", filepath.Base(path), time.Now().UnixNano()))
	if err == nil {
		err = os.Rename(path, to)
	}
	if err != nil {
		return fmt.Errorf("%w; it is left out, as it cannot be moved: %w", reason, err)
	}
	return fmt.Errorf("%w; it was moved to %s", reason, to)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
