package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// mapState puts maps back to their initial contents, at a cost that follows from
// what a run touched: the instrumentation counts passages of the sites that use a
// map and logs the keys.
type mapState struct {
	mem   []byte
	sites []site
	maps  map[string]restorer
	lists map[string]*ebpf.Map // whose keys can be listed
	all   []restorer
	// always are maps whose sites have no code at this rung.
	always []restorer
	// keep leaves maps as runs leave them.
	keep bool
	// pending are maps of which keys are to be put back.
	pending []*entries
	// entries are initial entries that an input brought, to be taken back.
	entries []corpus.MapEntry
}

// site is an instrumented use of a map.
type site struct {
	*instrument.Site
	restorer restorer // nil when it may be any map
}

// restorer puts back one map.
type restorer interface {
	// key puts back the entry with that key.
	key(key []byte) error
	// bytes puts back [lo, hi) of the only value.
	bytes(lo, hi uint32) error
	// whole puts back everything.
	whole() error
	// lookup appends the value of key to dst.
	lookup(dst, key []byte) (value []byte, ok bool, err error)
	// store changes the entry with that key.
	store(key, value []byte) error
	Close() error
}

func newMapState(t *Target, spec *ebpf.CollectionSpec, inst *instance) (*mapState, error) {
	s := &mapState{mem: inst.mem, maps: map[string]restorer{}, lists: map[string]*ebpf.Map{}}
	for _, name := range mapOrder(spec) {
		if name == coverMap || name == batchMap || name == chanceMap || name == faultMap || isConstant(name) || t.shared(name) {
			continue
		}
		r, err := newRestorer(name, spec.Maps[name], inst.coll.Maps[name], t.shape)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		if r == nil {
			continue // nothing in it that a program can change
		}
		s.maps[name] = r
		if spec.Maps[name].KeySize > 0 {
			s.lists[name] = inst.coll.Maps[name]
		}
		s.all = append(s.all, r)
	}
	for i := range inst.layout.Sites {
		s.addSite(&inst.layout.Sites[i])
	}
	return s, nil
}

func (s *mapState) addSite(at *instrument.Site) {
	r, known := s.maps[at.Map]
	switch {
	case at.ReadOnly, at.Map != "" && !known:
	case at.Off >= 0:
		s.sites = append(s.sites, site{at, r})
	case at.Map == "":
		s.always = s.all
	default:
		s.always = append(s.always, r)
	}
}

// restore undoes what the last run did.
func (s *mapState) restore() error {
	if s.keep {
		return s.takeBack()
	}
	for i := range s.sites {
		at := &s.sites[i]
		count := binary.NativeEndian.Uint32(s.mem[at.Off:])
		if count == 0 {
			continue
		}
		binary.NativeEndian.PutUint32(s.mem[at.Off:], 0)
		if err := s.undo(at, count); err != nil {
			return err
		}
	}
	for _, e := range s.pending {
		if err := e.settle(); err != nil {
			return err
		}
	}
	s.pending = s.pending[:0]
	for _, r := range s.always {
		if err := r.whole(); err != nil {
			return err
		}
	}
	return s.takeBack()
}

func (s *mapState) undo(at *site, count uint32) error {
	switch {
	case at.restorer == nil:
		return s.restoreAll()
	case at.Kind == instrument.Range && at.Hi > at.Lo:
		return at.restorer.bytes(at.Lo, at.Hi)
	case at.Kind == instrument.Keys && int(count) <= at.Ring:
		return s.undoKeys(at, int(count))
	}
	if many := s.later(at); many != nil {
		many.touched.all = true
		return nil
	}
	return at.restorer.whole()
}

// later returns the map of a site where it is put back when all is known that was
// touched of it, else nil.
func (s *mapState) later(at *site) *entries {
	many, ok := at.restorer.(*entries)
	if ok && !slices.Contains(s.pending, many) {
		s.pending = append(s.pending, many)
	}
	return many
}

// undoKeys puts back the entries that a site logged, or notes that they are to be.
func (s *mapState) undoKeys(at *site, count int) error {
	many := s.later(at)
	var last []byte
	for n := range count {
		off := at.KeyAt(n)
		key := s.mem[off : off+at.KeySize]
		if n > 0 && string(key) == string(last) {
			continue
		}
		last = key
		if many != nil {
			many.touch(key, at.Finds)
		} else if err := at.restorer.key(key); err != nil {
			return err
		}
	}
	return nil
}

func (s *mapState) restoreAll() error {
	for _, r := range s.all {
		if err := r.whole(); err != nil {
			return err
		}
	}
	return nil
}

// store sets the initial entries that an input brings.
func (s *mapState) store(entries []corpus.MapEntry) error {
	for _, e := range entries {
		r := s.maps[e.Map]
		if r == nil {
			return errUnknownMap(e.Map)
		}
		if err := r.store(e.Key, e.Value); err != nil {
			return err
		}
		s.entries = append(s.entries, e)
	}
	return nil
}

func (s *mapState) takeBack() error {
	for _, e := range s.entries {
		if err := s.maps[e.Map].key(e.Key); err != nil {
			return err
		}
	}
	s.entries = s.entries[:0]
	return nil
}

// Lookup implements corpus.MapView.
func (s *mapState) Lookup(dst []byte, name string, key []byte) ([]byte, bool, error) {
	r := s.maps[name]
	if r == nil {
		return dst, false, errUnknownMap(name)
	}
	return r.lookup(dst, key)
}

// Keys implements fuzz.KeyLister.
func (s *mapState) Keys(name string, visit func(key []byte) error) error {
	m := s.lists[name]
	if m == nil {
		return nil
	}
	var at any
	next := make([]byte, m.KeySize())
	for {
		err := m.NextKey(at, next)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing the keys of map %s: %w", name, err)
		}
		if err := visit(next); err != nil {
			return err
		}
		at, next = next, make([]byte, m.KeySize())
	}
}

// Close gives back what the restorers hold.
func (s *mapState) Close() error {
	var err error
	for _, r := range s.all {
		err = errors.Join(err, r.Close())
	}
	return err
}
