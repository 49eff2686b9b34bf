package corpus

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// A pack is a copy of the files of a large corpus in one file beside the directory, in
// order of name. Opening a million files takes five times as long as reading them in one go,
// and from a disk that has to seek, far longer. The files are what counts: which entries
// there are the directory says, a record is only used if its contents have the hash in its
// name, and where a pack is missing, old or damaged the files are read.
//
// It begins with packMagic and the number of records, 8 bytes, little-endian. A record is
// the name in 8 bytes, the length of the file in 4 and its contents.
const packMagic = "bpffuzz-pack-1\r\n"

const (
	packHeader = len(packMagic) + 8
	packRecord = 8 + 4 // before the contents
	// defaultPackFrom is how many files make a corpus large.
	defaultPackFrom = 20_000
	// packStale says that a pack is made anew when one file in so many is not in it, or
	// gone.
	packStale = 8
)

func (d *Dir) packPath() string { return filepath.Clean(d.path) + ".pack" }

// packReader reads a pack along with the names of a directory. A nil one has no records.
type packReader struct {
	file  *os.File
	buf   *bufio.Reader
	count uint64 // of records, as the pack says
	left  int64  // bytes that were not read yet
	name  string // of the record at hand, "" at the end
	body  []byte // and its contents
}

// openPack returns nil where there is no pack that can be read.
func openPack(path string) *packReader {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	p := &packReader{file: f, buf: bufio.NewReaderSize(f, 1<<20)}
	header := make([]byte, packHeader)
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		_, err = io.ReadFull(p.buf, header)
	}
	if err != nil || string(header[:len(packMagic)]) != packMagic {
		f.Close()
		return nil
	}
	p.count, p.left = binary.LittleEndian.Uint64(header[len(packMagic):]), info.Size()-int64(packHeader)
	p.next()
	return p
}

// Close closes the file.
func (p *packReader) Close() error {
	if p == nil {
		return nil
	}
	return p.file.Close()
}

// next reads a record. One that is cut off ends the pack.
func (p *packReader) next() {
	p.name = ""
	var head [packRecord]byte
	if _, err := io.ReadFull(p.buf, head[:]); err != nil {
		return
	}
	n := int64(binary.LittleEndian.Uint32(head[8:]))
	if p.left -= packRecord + n; p.left < 0 || n > maxFile {
		return
	}
	p.body = make([]byte, n)
	if _, err := io.ReadFull(p.buf, p.body); err == nil {
		p.name = hex.EncodeToString(head[:8])
	}
}

// take returns the contents of files, nil for those that the pack does not have. Names
// are in ascending order, from call to call as well.
func (p *packReader) take(names []string) [][]byte {
	all := make([][]byte, len(names))
	if p == nil {
		return all
	}
	for i, name := range names {
		for p.name != "" && p.name < name {
			p.next()
		}
		if p.name == name {
			all[i] = p.body
			p.next()
		}
	}
	return all
}

// fresh reports whether the pack is as good as a new one of n files.
func (p *packReader) fresh(n int) bool {
	if p == nil {
		return false
	}
	difference := int64(p.count) - int64(n)
	return max(difference, -difference) <= int64(n/packStale)
}

// packWriter writes a pack. A nil one writes nothing: corpora do without, where there is
// no room or no permission for one.
type packWriter struct {
	path string
	file *os.File
	buf  *bufio.Writer
	n    uint64
	err  error
}

// newPackWriter returns nil where a pack cannot be written.
func newPackWriter(path string) *packWriter {
	f, err := os.CreateTemp(filepath.Dir(path), tempPattern)
	if err != nil {
		return nil
	}
	w := &packWriter{path: path, file: f, buf: bufio.NewWriterSize(f, 1<<20)}
	_, w.err = w.buf.Write(make([]byte, packHeader))
	return w
}

// add adds files, whose names are ascending. Those that are named by hand, or cannot be read,
// are none for a pack.
func (w *packWriter) add(files []dirFile) {
	if w == nil {
		return
	}
	for i := range files {
		f := &files[i]
		name, err := hex.DecodeString(f.name)
		if f.err != nil || err != nil || len(name) != 8 {
			continue
		}
		head := binary.LittleEndian.AppendUint32(name, uint32(len(f.contents)))
		_, err1 := w.buf.Write(head)
		_, err2 := w.buf.Write(f.contents)
		w.err = errors.Join(w.err, err1, err2)
		w.n++
	}
}

// finish gives the pack its name, if whole is set and all went well, and removes it else.
func (w *packWriter) finish(whole bool) {
	if w == nil {
		return
	}
	header := binary.LittleEndian.AppendUint64([]byte(packMagic), w.n)
	err := errors.Join(w.err, w.buf.Flush())
	if err == nil {
		_, err = w.file.WriteAt(header, 0)
	}
	if err = errors.Join(err, w.file.Close()); err == nil && whole {
		err = os.Rename(w.file.Name(), w.path)
	}
	if err != nil || !whole {
		os.Remove(w.file.Name())
	}
}
