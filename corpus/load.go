package corpus

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Load calls add with every input in the directory, in order of file name. Files are
// read by several goroutines, add and warn are called from the caller's. A file that
// cannot be read as an input, or whose name is a hash of other contents, is moved to the
// directory "corrupt" beside this one and reported to warn. It ends early with ctx, whose
// error it then returns.
func (d *Dir) Load(ctx context.Context, add func(*Input), warn func(error)) error {
	names, err := d.names()
	if err != nil {
		return err
	}
	files, err := openDirReader(d.path)
	if err != nil {
		return fmt.Errorf("reading corpus directory: %w", err)
	}
	defer files.Close()
	pack := openPack(d.packPath())
	defer pack.Close()
	writer := d.newPack(len(names), pack)
	whole := false
	defer func() { writer.finish(whole) }()
	for block := range files.ahead(names, pack, writer != nil) {
		if ctx.Err() != nil {
			return fmt.Errorf("reading corpus directory %s: stopped: %w", d.path, ctx.Err())
		}
		for i := range block {
			switch f := &block[i]; {
			case f.err == nil:
				add(f.in)
			case errors.Is(f.err, fs.ErrNotExist): // another process took it away
			default:
				warn(d.setAside(f.name, f.err))
			}
		}
		writer.add(block)
	}
	whole = true
	return nil
}

// newPack begins a pack of n files where they are many and the one that is there has not
// most of them. One that is not worth its room any more is removed.
func (d *Dir) newPack(n int, old *packReader) *packWriter {
	least := cmp.Or(d.packFrom, defaultPackFrom)
	switch {
	case n < least && old != nil:
		os.Remove(d.packPath())
		return nil
	case n < least || old.fresh(n):
		return nil
	}
	return newPackWriter(d.packPath())
}

// names lists the files that may hold inputs, in order.
func (d *Dir) names() ([]string, error) {
	dir, err := os.Open(d.path)
	if err != nil {
		return nil, fmt.Errorf("reading corpus directory: %w", err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("reading corpus directory %s: %w", d.path, err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// dirFile is a file of a directory, read.
type dirFile struct {
	name string
	in   *Input
	err  error
	// contents are there if they are to be kept.
	contents []byte
}

const (
	// readBlock is how many files one goroutine reads in a row.
	readBlock = 256
	// readAheadBlocks is how many blocks there are for each processor, being read or waiting
	// to be taken. More of them than processors keep a disk busy that is slow to answer.
	readAheadBlocks = 8
)

// ahead yields the files of names in order, a block at a time, and has the next ones
// read meanwhile: from the pack those that it has. With keep, it yields their contents too.
func (r *dirReader) ahead(names []string, pack *packReader, keep bool) func(func([]dirFile) bool) {
	return func(yield func([]dirFile) bool) {
		var ahead []chan []dirFile
		defer func() { // whoever takes no more closes the directory
			for _, block := range ahead {
				<-block
			}
		}()
		next := func() {
			n := min(len(names), readBlock)
			block := names[:n]
			names = names[n:]
			done := make(chan []dirFile, 1)
			ahead = append(ahead, done)
			packed := pack.take(block)
			go func() { done <- r.readAll(block, packed, keep) }()
		}
		for range readAheadBlocks * runtime.GOMAXPROCS(0) {
			if len(names) > 0 {
				next()
			}
		}
		for len(ahead) > 0 {
			block := <-ahead[0]
			if ahead = ahead[1:]; len(names) > 0 {
				next()
			}
			if !yield(block) {
				return
			}
		}
	}
}

func (r *dirReader) readAll(names []string, packed [][]byte, keep bool) []dirFile {
	files := make([]dirFile, len(names))
	var memory readMemory
	for i, name := range names {
		f := &files[i]
		f.name = name
		if packed[i] != nil {
			memory.contents = packed[i]
			if f.in, f.err = r.parse(name, &memory); f.err != nil {
				packed[i] = nil // damaged: the file may be whole
			}
		}
		if packed[i] == nil {
			f.in, f.err = r.read(name, &memory)
		}
		if keep {
			f.contents = bytes.Clone(memory.contents)
		}
	}
	return files
}

// readMemory is used for one file after the other.
type readMemory struct{ contents, encoding []byte }

func (r *dirReader) read(name string, m *readMemory) (in *Input, err error) {
	if m.contents, err = r.append(m.contents[:0], name); err != nil {
		return nil, err
	}
	return r.parse(name, m)
}

// parse makes an input of the contents of a file.
func (r *dirReader) parse(name string, m *readMemory) (in *Input, err error) {
	if IsFileName(name) && FileName(m.contents) != name {
		return nil, fmt.Errorf("corpus file %s is corrupted: its contents do not have the hash in its name", filepath.Join(r.path(), name))
	}
	if in, m.encoding, err = unmarshalFile(m.contents, m.encoding); err != nil {
		return nil, fmt.Errorf("corpus file %s is corrupted: %w", filepath.Join(r.path(), name), err)
	}
	return in, nil
}
