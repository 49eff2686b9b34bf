package corpus

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Limits bound what a corpus keeps on disk. The zero value bounds nothing.
type Limits struct {
	// Bytes is how much all files may have together, Entries how many there may be; 0 means
	// no limit.
	Bytes   int64
	Entries int
}

// Stored is a file of a corpus as limits see it.
type Stored struct {
	Name     string
	Bytes    int64
	Modified time.Time
	// Cover is the feature vector of the input alone; nil where it is known to cover
	// nothing that others do not.
	Cover []byte
	// Work is how much its run does, in any unit; 0 where that is not known.
	Work uint64
	// Stays says that it must not go. It counts against the limits.
	Stays bool
}

// Excess returns the names of the files that have to go for the others to be within the
// limits: first, as long as there are such, those that cover nothing of their own, then
// others. Among them the largest go first, then those that do the most work, then the
// oldest. Nothing goes that need not, and the choice follows from the set of files alone.
func Excess(files []Stored, limits Limits) (gone []string) {
	r := retention{limits: limits, owners: map[int]int{}, entries: len(files)}
	order := make([]*Stored, 0, len(files))
	for i := range files {
		f := &files[i]
		r.bytes += f.Bytes
		eachBit(f.Cover, func(bit int) { r.owners[bit]++ })
		if !f.Stays {
			order = append(order, f)
		}
	}
	slices.SortFunc(order, func(a, b *Stored) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(b.Work, a.Work), a.Modified.Compare(b.Modified), cmp.Compare(a.Name, b.Name))
	})
	// One pass is enough: what others cover less and less never becomes superfluous.
	var left []*Stored
	for _, f := range order {
		if r.exceeded() && !r.owns(f) {
			gone = append(gone, r.drop(f))
		} else {
			left = append(left, f)
		}
	}
	for _, f := range left {
		if !r.exceeded() {
			break
		}
		gone = append(gone, r.drop(f))
	}
	return gone
}

// retention is what is left while files go.
type retention struct {
	limits  Limits
	bytes   int64
	entries int
	owners  map[int]int // how many of the files that are left have a feature
}

func (r *retention) exceeded() bool {
	return r.limits.Bytes > 0 && r.bytes > r.limits.Bytes || r.limits.Entries > 0 && r.entries > r.limits.Entries
}

// owns reports whether a file covers something that no other does.
func (r *retention) owns(f *Stored) (owns bool) {
	eachBit(f.Cover, func(bit int) { owns = owns || r.owners[bit] == 1 })
	return owns
}

func (r *retention) drop(f *Stored) string {
	eachBit(f.Cover, func(bit int) { r.owners[bit]-- })
	r.bytes -= f.Bytes
	r.entries--
	return f.Name
}

// Retain removes files from the directory until it is within limits, see Excess, and
// returns how many. Entries are what a run ended with that began at since and had read
// the directory then: files that are not among them cover nothing new, except for those
// that came later, which stay, as do files that were named by hand. Work tells how much
// a run with that feature vector does (see cover.Table); nil if that does not matter.
func (d *Dir) Retain(entries []*Entry, since time.Time, work func(features []byte) uint64, limits Limits) (removed int, err error) {
	if limits == (Limits{}) {
		return 0, nil
	}
	files, err := d.stored(entries, since, work)
	if err != nil {
		return 0, fmt.Errorf("looking at what corpus directory %s keeps: %w", d.path, err)
	}
	gone := Excess(files, limits)
	return len(gone), d.Remove(gone...)
}

func (d *Dir) stored(entries []*Entry, since time.Time, work func([]byte) uint64) ([]Stored, error) {
	known := make(map[string]*Entry, len(entries))
	for _, e := range entries {
		known[FileName(MarshalFile(e.Input))] = e
	}
	all, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	files := make([]Stored, 0, len(all))
	for _, file := range all {
		info, err := file.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process took it away
		}
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			continue
		}
		f := Stored{Name: file.Name(), Bytes: info.Size(), Modified: info.ModTime()}
		e := known[f.Name]
		f.Stays = !IsFileName(f.Name) || e == nil && !f.Modified.Before(since)
		if e != nil {
			f.Cover = e.Cover
			if work != nil {
				f.Work = work(e.Cover)
			}
		}
		files = append(files, f)
	}
	return files, nil
}
