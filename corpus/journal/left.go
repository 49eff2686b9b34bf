package journal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Left is what earlier processes left.
type Left struct {
	// Inputs were in flight, each one once: those first that ran alone when a process
	// ended, then the others in the order in which they were noted.
	Inputs []*corpus.Input
	// Suspects are those of Inputs that ran alone when the last process ended, and had
	// been in flight when another did before.
	Suspects []*corpus.Input
	// Fatal are inputs that ended process or machine when they ran alone, and are not to
	// be run again.
	Fatal []Fatal
	// Killed says that a process did not end in order, Restarted that the machine was
	// started anew since.
	Killed, Restarted bool
	// Missing is how many inputs there was no room to note.
	Missing int
	// Problems say which files could not be read, and where they are now.
	Problems []error
}

// Fatal is an input that ends the process or the machine that runs it.
type Fatal struct {
	Input *corpus.Input
	// Ends is how often a process ended while the input ran alone.
	Ends int
	// Machine says that the last of them ended the machine.
	Machine bool
}

// maxEnds is how often a process has to end while an input runs alone to blame the
// input. Somebody who kills processes again and again hits the same microseconds twice in
// the end; three times is no chance. A machine that goes down while a suspect runs alone was
// told what to expect: once is enough.
const maxEnds = 3

// machine is set in the number of ends of an input that took the machine with it.
const machine = 1 << 31

// maxFile bounds what is read of a file.
const maxFile = 256 << 20

// suspect is an input that was left.
type suspect struct {
	in      *corpus.Input
	ends    uint32
	earlier bool // it was one before the last process began
}

// reader collects what the files of a journal have.
type reader struct {
	dir   string
	boot  string // of the machine as it runs
	taken uint64 // number of the run whose files the suspects have already
	last  []runFile

	left   Left
	all    []*suspect
	byHash map[[sha256.Size]byte]*suspect
}

// runFile is a file of the run that ended last.
type runFile struct {
	head   header
	inputs []*corpus.Input
	alone  *corpus.Input // that was running
	left   int           // inputs that were not noted
}

func newReader(dir, boot string) reader {
	return reader{dir: dir, boot: boot, byHash: map[[sha256.Size]byte]*suspect{}}
}

// file reads a file of the journal. What is none is left alone.
func (r *reader) file(name string) error {
	var parse func(head header, b []byte) error
	switch {
	case name == suspectsName:
		parse = r.suspects
	case name == entriesName:
		parse = r.entries
	case strings.HasPrefix(name, lanePrefix):
		parse = r.lane
	default:
		return nil
	}
	path := filepath.Join(r.dir, name)
	b, err := readBounded(path)
	if err == nil && isZero(b[:min(len(b), headerSize)]) {
		return nil // it had just been made
	}
	var head header
	if err == nil {
		head, b, err = readHeader(b)
	}
	if err == nil {
		err = parse(head, b)
	}
	if err != nil {
		return fmt.Errorf("reading journal %s: %w", path, err)
	}
	return nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxFile) {
		err = fmt.Errorf("not a regular file of at most %d bytes", maxFile)
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// suspects reads what was left before the run that ended last.
func (r *reader) suspects(head header, b []byte) error {
	r.taken = head.run
	for len(b) > 0 {
		in, ends, rest, err := takeFrame(b)
		if err != nil {
			return err // the file appeared whole
		}
		s := r.suspect(in)
		s.ends, s.earlier = max(s.ends, ends), true
		b = rest
	}
	return nil
}

// entries reads corpus entries that were not stored.
func (r *reader) entries(head header, b []byte) (err error) {
	file := runFile{head: head}
	for len(b) > 0 && err == nil {
		var in *corpus.Input
		if in, _, b, err = takeFrame(b); err == nil {
			file.inputs = append(file.inputs, in)
		}
	}
	if errors.Is(err, errCut) {
		err = nil // its worker was about to note it, and has it in its lane
	}
	r.last = append(r.last, file)
	return err
}

// lane reads what a worker noted: all areas that can be read.
func (r *reader) lane(head header, b []byte) error {
	file := runFile{head: head}
	found, err := readAreas(b)
	if err != nil {
		return err
	}
	var errs [areas]error
	for i, a := range found {
		inputs, err := a.read()
		if err != nil {
			errs[i] = fmt.Errorf("%s: %w", areaName(i), err)
			continue
		}
		file.left += a.missing()
		if i == alone && a.state() == running && len(inputs) == 1 {
			file.alone = inputs[0]
		}
		file.inputs = append(file.inputs, inputs...)
	}
	r.last = append(r.last, file)
	if a, b := found[batch].state(), found[before].state(); errs[batch] == nil != (errs[before] == nil) && a != empty && b != empty {
		errs[batch], errs[before] = nil, nil // it was being stored, and had not run
	}
	return errors.Join(errs[:]...)
}

// suspect returns the one with that input.
func (r *reader) suspect(in *corpus.Input) *suspect {
	hash := sha256.Sum256(appendFrame(nil, 0, in))
	s := r.byHash[hash]
	if s == nil {
		s = &suspect{in: in}
		r.byHash[hash] = s
		r.all = append(r.all, s)
	}
	return s
}

// result adds the files of the last run to what was left before it.
func (r *reader) result() Left {
	r.left.Killed = len(r.all) > 0
	for _, file := range r.last {
		if file.head.run != r.taken {
			r.ended(&file)
		}
	}
	var first []*corpus.Input
	for _, s := range r.all {
		switch {
		case s.ends >= maxEnds:
			r.left.Fatal = append(r.left.Fatal, Fatal{Input: s.in, Ends: int(s.ends &^ machine), Machine: s.ends&machine != 0})
		case s.ends > 0:
			first = append(first, s.in)
			if s.earlier {
				r.left.Suspects = append(r.left.Suspects, s.in)
			}
		default:
			r.left.Inputs = append(r.left.Inputs, s.in)
		}
	}
	r.left.Inputs = append(first, r.left.Inputs...)
	return r.left
}

// ended adds a file of the run that ended last.
func (r *reader) ended(file *runFile) {
	restarted := file.head.boot != r.boot && r.boot != ""
	r.left.Killed, r.left.Restarted = true, r.left.Restarted || restarted
	r.left.Missing += file.left
	for _, in := range file.inputs {
		r.suspect(in)
	}
	if file.alone == nil {
		return
	}
	s := r.suspect(file.alone)
	if s.ends++; restarted && s.earlier {
		s.ends |= machine
	}
}

// writeSuspects stores all that was left, with the number of the run whose files it
// includes.
func (j *Journal) writeSuspects(r *reader) error {
	head := j.head
	if head.run = r.taken; len(r.last) > 0 {
		head.run = r.last[0].head.run
	}
	b := head.append(nil)
	for _, s := range r.all {
		b = appendFrame(b, s.ends, s.in)
	}
	f, err := os.CreateTemp(j.dir, tempPrefix+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(j.dir, suspectsName))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(j.dir)
}
