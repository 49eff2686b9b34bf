package corpus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// packedDir is a directory of n entries with a pack.
func packedDir(t *testing.T, n int) *Dir {
	t.Helper()
	d, err := OpenDir(filepath.Join(t.TempDir(), "corpus"))
	if err != nil {
		t.Fatal(err)
	}
	d.packFrom = 20
	addNumbered(t, d, 0, n)
	if inputs, warnings := load(t, d); len(inputs) != n || len(warnings) != 0 {
		t.Fatalf("loaded %d inputs with %v, want %d", len(inputs), warnings, n)
	}
	return d
}

func addNumbered(t *testing.T, d *Dir, from, to int) {
	t.Helper()
	var all []*Input
	for i := from; i < to; i++ {
		all = append(all, step(fmt.Sprintf("entry %d", i)))
	}
	if err := d.Add(all...); err != nil {
		t.Fatal(err)
	}
}

// files reads what is in the directory, by name.
func files(t *testing.T, d *Dir) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestPackIsRead makes files unreadable that the pack has: what it has need not be opened.
func TestPackIsRead(t *testing.T) {
	const n = 80
	d := packedDir(t, n)
	for _, name := range files(t, d) {
		if err := os.WriteFile(filepath.Join(d.Path(), name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inputs, warnings := load(t, d)
	if len(inputs) != n || len(warnings) != 0 {
		t.Errorf("loaded %d inputs with %v, want %d from the pack", len(inputs), warnings, n)
	}
}

// TestPackFollowsTheDirectory changes the files behind the pack's back.
func TestPackFollowsTheDirectory(t *testing.T) {
	const n = 80
	for _, test := range []struct {
		name   string
		change func(t *testing.T, d *Dir)
		want   int
		pack   bool // is there afterwards
		same   bool // and not made anew
	}{
		{"nothing", func(*testing.T, *Dir) {}, n, true, true},
		{"some are gone", func(t *testing.T, d *Dir) {
			if err := d.Remove(files(t, d)[5:13]...); err != nil {
				t.Fatal(err)
			}
		}, n - 8, true, true},
		{"some came", func(t *testing.T, d *Dir) { addNumbered(t, d, n, n+8) }, n + 8, true, true},
		{"many came", func(t *testing.T, d *Dir) { addNumbered(t, d, n, 2*n) }, 2 * n, true, false},
		{"few are left", func(t *testing.T, d *Dir) {
			if err := d.Remove(files(t, d)[7:]...); err != nil {
				t.Fatal(err)
			}
		}, 7, false, false},
		{"one is named by hand", func(t *testing.T, d *Dir) {
			if err := os.WriteFile(filepath.Join(d.Path(), "0-by-hand"), MarshalFile(step("by hand")), 0o600); err != nil {
				t.Fatal(err)
			}
		}, n + 1, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := packedDir(t, n)
			before, err := os.Stat(d.packPath())
			if err != nil {
				t.Fatal(err)
			}
			test.change(t, d)
			for range 2 {
				inputs, warnings := load(t, d)
				if len(inputs) != test.want || len(warnings) != 0 {
					t.Fatalf("loaded %d inputs with %v, want %d", len(inputs), warnings, test.want)
				}
			}
			after, err := os.Stat(d.packPath())
			if (err == nil) != test.pack || test.pack && os.SameFile(before, after) != test.same {
				t.Errorf("the pack is there: %v (%v); want %v, the same one %v", err == nil, err, test.pack, test.same)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(d.Path()), tempPattern)); len(left) > 0 {
				t.Errorf("%q are left behind", left)
			}
		})
	}
}

// TestDamagedPack has the files read where the pack is no good.
func TestDamagedPack(t *testing.T) {
	const n = 60
	for _, test := range []struct {
		name   string
		damage func(pack []byte) []byte
	}{
		{"empty", func([]byte) []byte { return nil }},
		{"another format", func(p []byte) []byte { return append([]byte("x"), p...) }},
		{"cut off", func(p []byte) []byte { return p[:len(p)/2] }},
		{"flipped bits", func(p []byte) []byte {
			for i := packHeader + 20; i < len(p); i += 97 {
				p[i] ^= 0x40
			}
			return p
		}},
		{"a length beyond the end", func(p []byte) []byte {
			binary.LittleEndian.PutUint32(p[packHeader+8:], 1<<31)
			return p
		}},
		{"another order", func(p []byte) []byte {
			copy(p[packHeader:], bytes.Repeat([]byte{0xff}, 8))
			return p
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := packedDir(t, n)
			pack, err := os.ReadFile(d.packPath())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(d.packPath(), test.damage(slices.Clone(pack)), 0o600); err != nil {
				t.Fatal(err)
			}
			inputs, warnings := load(t, d)
			if len(inputs) != n || len(warnings) != 0 {
				t.Errorf("loaded %d inputs with %v, want %d", len(inputs), warnings, n)
			}
			if got := len(files(t, d)); got != n {
				t.Errorf("%d files are left of %d", got, n)
			}
		})
	}
}
