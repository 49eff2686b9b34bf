package bpf

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// What a batch changed is put back, whether its sites remember all keys or too many
// were used for that.
func TestMapsArePutBackAfterBatches(t *testing.T) {
	needBatches(t)
	for _, program := range []string{"state", "tcstate"} {
		target := newState(t, program, stateSetup())
		isolated(t, func() {
			b := mustBatch(t, target)
			before := contents(t, b.hot.instance)
			for _, count := range []byte{1, 3, 9} {
				for name, number := range map[string]byte{"array": 0, "hash": 2, "percpu_hash": 3, "lru_hash": 4, "lpm_trie": 5, "full_hash": 6, "full_lru": 8} {
					fillRequests(b, number, count)
					if err := b.Run(t.Context()); err != nil {
						t.Fatal(err)
					}
					if len(changes(before, contents(t, b.hot.instance))) == 0 {
						t.Errorf("%s, %s: the batch changed nothing", program, name)
					}
					if err := b.hot.state.restore(); err != nil {
						t.Errorf("%s, %s: %v", program, name, err)
					}
					for _, c := range changes(before, contents(t, b.hot.instance)) {
						t.Errorf("%s, %s, %d keys each: %s", program, name, count, c)
					}
				}
			}
		})
	}
}

// Many entries that were there are put back at once.
func TestManyEntriesArePutBack(t *testing.T) {
	needBatches(t)
	setup := stateSetup()
	for _, name := range []string{"array", "hash", "lru_hash"} {
		for key := range 200 {
			setup.Maps[name] = append(setup.Maps[name], MapItem{Key: 10 + key, Value: map[string]any{"n": key}})
		}
	}
	target := newState(t, "state", setup)
	isolated(t, func() {
		b := mustBatch(t, target)
		before := contents(t, b.hot.instance)
		for name, number := range map[string]byte{"array": 0, "hash": 2, "lru_hash": 4} {
			fillRequests(b, number, 1)
			if err := b.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(changes(before, contents(t, b.hot.instance))); n < 50 {
				t.Errorf("%s: the batch changed %d entries", name, n)
			}
			if err := b.hot.state.restore(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			for _, c := range changes(before, contents(t, b.hot.instance)) {
				t.Errorf("%s: %s", name, c)
			}
		}
	})
}

// fillRequests fills a batch with packets that use so many keys each of a map, in
// every way.
func fillRequests(b *batchExecutor, number, count byte) {
	b.batch.Reset()
	for i := uint32(0); ; i++ {
		in := b.batch.Next()
		if in == nil {
			return
		}
		step := request{number, byte(i % 4), count, 32, i * uint32(count) % 700, i}.step()
		in.CopyFrom(&corpus.Input{Steps: []corpus.Step{step}})
		b.batch.Commit()
	}
}

func TestTouchedKeys(t *testing.T) {
	for _, size := range []int{1, 3, 4, 16} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			var touched touchedKeys
			var want [][]byte
			for i := range 2000 {
				key := make([]byte, 8, max(8, size))
				binary.BigEndian.PutUint64(key, uint64(i*i%977))
				key = key[:cap(key)][max(8, size)-size:]
				touched.add(key)
				if !slices.ContainsFunc(want, func(k []byte) bool { return string(k) == string(key) }) {
					want = append(want, key)
				}
			}
			if got := string(touched.foreign); got != string(slices.Concat(want...)) {
				t.Errorf("%d keys, want %d", len(got)/size, len(want))
			}
		})
	}
}
