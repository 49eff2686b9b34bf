package bpf

import (
	"hash/maphash"
	"math/bits"

	"golang.org/x/sys/unix"
)

// touchedKeys collects the keys that a run used of a map, each once, so that all of them
// are put back with few system calls: what came new is removed before what was there is
// written again, as a full map has no room for both.
type touchedKeys struct {
	initial []*saved
	all     bool // of the map may have changed
	// foreign holds keys without an initial entry one behind the other, table their
	// numbers from 1 on, by hash. There are twice as many places as keys, or more.
	foreign []byte
	table   []uint32
	seed    maphash.Seed
	// keys and values are what is being written, unless that is done one by one.
	keys, values []byte
	singly       bool
}

// touch notes that an entry may have changed. Finds says that it was there where it
// was used: what was not then needs not be removed, unless somebody else made it.
func (e *entries) touch(key []byte, finds bool) {
	if s, ok := e.initial[string(key)]; ok {
		if !s.touched {
			s.touched = true
			e.touched.initial = append(e.touched.initial, s)
		}
		return
	}
	if !finds && !e.fixed {
		e.touched.add(key)
	}
}

// untouched forgets what was noted.
func (e *entries) untouched() {
	for _, s := range e.touched.initial {
		s.touched = false
	}
	t := &e.touched
	t.initial, t.foreign, t.all = t.initial[:0], t.foreign[:0], false
	clear(t.table)
}

// settle puts back what was noted.
func (e *entries) settle() error {
	defer e.untouched()
	if e.touched.all {
		return e.whole()
	}
	if err := e.deleteAll(e.touched.foreign); err != nil {
		return err
	}
	if e.crowded && len(e.touched.foreign) > 0 {
		return e.bringAll()
	}
	return e.bringMany(e.touched.initial, e.bring)
}

// staged is how many entries are written with one system call.
const staged = 256

// bringMany puts initial entries back: with one where they cannot be written many at
// a time.
func (e *entries) bringMany(list []*saved, one func(*saved) error) error {
	for len(list) > 0 {
		done := 0
		if len(list) > 1 && !e.evicts && !e.touched.singly {
			done = e.write(list[:min(len(list), staged)])
		}
		if list = list[done:]; done >= staged || len(list) == 0 {
			continue
		}
		if err := one(list[0]); err != nil {
			return err
		}
		list = list[1:]
	}
	return nil
}

// write writes initial entries up to the first where that fails.
func (e *entries) write(list []*saved) (done int) {
	t := &e.touched
	t.keys, t.values = t.keys[:0], t.values[:0]
	for _, s := range list {
		t.keys, t.values = append(t.keys, s.key...), append(t.values, s.value...)
	}
	done, errno := e.fast.UpdateBatch(t.keys, t.values, len(list))
	if errno != 0 && done == len(list) {
		t.singly = true // there is no such command for this kind of map
		return 0
	}
	return done
}

// deleteAll removes keys, which lie one behind the other. The kernel stops at one that
// is gone.
func (e *entries) deleteAll(keys []byte) error {
	for len(keys) > e.keySize {
		n := len(keys) / e.keySize
		done, errno := e.fast.DeleteBatch(keys, n)
		if errno != 0 && (errno != unix.ENOENT || done == n) {
			break // there may be no such command for this kind of map
		}
		keys = keys[min(done+1, n)*e.keySize:]
	}
	for ; len(keys) > 0; keys = keys[e.keySize:] {
		if err := e.delete(keys[:e.keySize]); err != nil {
			return err
		}
	}
	return nil
}

// add adds a key unless it is there.
func (t *touchedKeys) add(key []byte) {
	if n := len(t.foreign)/len(key) + 1; 2*n > len(t.table) {
		t.grow(n, len(key))
	}
	place := t.find(key)
	if *place != 0 {
		return
	}
	t.foreign = append(t.foreign, key...)
	*place = uint32(len(t.foreign) / len(key))
}

// find returns the place of a key, or the free one where it belongs.
func (t *touchedKeys) find(key []byte) *uint32 {
	for at := maphash.Bytes(t.seed, key); ; at++ {
		place := &t.table[at&uint64(len(t.table)-1)]
		if *place == 0 {
			return place
		}
		if end := int(*place) * len(key); string(t.foreign[end-len(key):end]) == string(key) {
			return place
		}
	}
}

// grow makes room for n keys of that size.
func (t *touchedKeys) grow(n, size int) {
	if t.table == nil {
		t.seed = maphash.MakeSeed()
	}
	t.table = make([]uint32, max(64, 4<<bits.Len(uint(n))))
	for at := 0; at < len(t.foreign); at += size {
		*t.find(t.foreign[at : at+size]) = uint32(at/size + 1)
	}
}
