package exchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// placesFile has how far a node has run the corpus that others share.
const placesFile = "exchange.json"

// places are how far each topic was run, for the process that comes next. It is safe for
// concurrent use.
type places struct {
	path string

	mu      sync.Mutex
	changed bool
	state   struct {
		// Stream is when the stream was made: in another one numbers mean something else.
		Stream time.Time
		// Ran is by topic the number of the last message before which all were run.
		Ran map[string]uint64
		// Spoiled is by topic under how many subjects an entry, by its hash, cannot be
		// announced, since corrupt messages took them.
		Spoiled map[string]map[string]int `json:",omitempty"`
	}
}

func readPlaces(dir string) (*places, error) {
	p := &places{path: filepath.Join(dir, placesFile)}
	p.state.Ran = map[string]uint64{}
	b, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading how far the exchange was run: %w", err)
	}
	if err := json.Unmarshal(b, &p.state); err != nil || p.state.Ran == nil {
		// The worst that follows is that inputs are run again.
		p.state.Stream, p.state.Ran, p.state.Spoiled = time.Time{}, map[string]uint64{}, nil
	}
	return p, nil
}

// of settles which stream the places are in: those of another one are forgotten.
func (p *places) of(created time.Time, last uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	same := p.state.Stream.Equal(created)
	for _, at := range p.state.Ran {
		same = same && at <= last
	}
	if !same {
		p.state.Stream, p.state.Ran, p.state.Spoiled, p.changed = created, map[string]uint64{}, nil, true
	}
	return nil
}

func (p *places) get(topic string) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.Ran[topic]
}

func (p *places) set(topic string, at uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at > p.state.Ran[topic] {
		p.state.Ran[topic], p.changed = at, true
	}
}

// mostSpoiled bounds how many spoiled entries of a topic are noted.
const mostSpoiled = 1 << 14

func (p *places) spoiled(topic string, h hash) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.Spoiled[topic][h.String()]
}

// spoil notes that the first n subjects of an entry are taken, and reports whether that is
// new.
func (p *places) spoil(topic string, h hash, n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.state.Spoiled[topic]
	if n <= of[h.String()] || len(of) >= mostSpoiled {
		return false
	}
	if of == nil {
		if p.state.Spoiled == nil {
			p.state.Spoiled = map[string]map[string]int{}
		}
		of = map[string]int{}
		p.state.Spoiled[topic] = of
	}
	of[h.String()], p.changed = n, true
	return true
}

// write puts the places on disk, whole, if they have changed.
func (p *places) write() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.changed {
		return nil
	}
	b, err := json.MarshalIndent(&p.state, "", "  ")
	if err == nil {
		err = writeWhole(p.path, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("noting how far the exchange was run: %w", err)
	}
	p.changed = false
	return nil
}

// writeWhole writes a file under another name and renames it.
func writeWhole(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
