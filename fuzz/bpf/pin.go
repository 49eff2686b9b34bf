package bpf

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// Pin keeps the programs and maps of an object that was loaded in the kernel, as
// DIR/PROGRAM and DIR/maps/MAP, and returns the paths. The directory is made where it
// is missing; it has to be on a BPF file system. Where a path is taken, nothing is
// pinned.
func (l *Loaded) Pin(dir string) (paths []string, err error) {
	if l.coll == nil {
		return nil, fmt.Errorf("program %q was loaded by somebody else, who pins it: --pin is for objects", l.name)
	}
	mapDir := filepath.Join(dir, "maps")
	if err := onBPFFS(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(mapDir, 0o755); err != nil {
		return nil, fmt.Errorf("pinning to %s: %w", dir, err)
	}
	defer func() {
		if err == nil {
			return
		}
		for _, path := range paths {
			err = errors.Join(err, os.Remove(path))
		}
		paths = nil
	}()
	for _, name := range slices.Sorted(maps.Keys(l.coll.Programs)) {
		if err := pinAs(l.coll.Programs[name], filepath.Join(dir, pinName(name))); err != nil {
			return paths, err
		}
		paths = append(paths, filepath.Join(dir, pinName(name)))
	}
	for _, name := range slices.Sorted(maps.Keys(l.coll.Maps)) {
		if err := pinAs(l.coll.Maps[name], filepath.Join(mapDir, pinName(name))); err != nil {
			return paths, err
		}
		paths = append(paths, filepath.Join(mapDir, pinName(name)))
	}
	return paths, nil
}

func pinAs(what interface{ Pin(string) error }, path string) error {
	err := what.Pin(path)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("pinning: %s is there already: remove it or choose another directory", path)
	}
	if err != nil {
		return fmt.Errorf("pinning to %s: %w%s", path, err, kernel.Explain(err))
	}
	return nil
}

// pinName is a name without dots, which a BPF file system does not take.
func pinName(name string) string { return strings.ReplaceAll(name, ".", "_") }

// onBPFFS checks the nearest directory that is there.
func onBPFFS(dir string) error {
	at := filepath.Clean(dir)
	for {
		var fs unix.Statfs_t
		err := unix.Statfs(at, &fs)
		if errors.Is(err, unix.ENOENT) && at != filepath.Dir(at) {
			at = filepath.Dir(at)
			continue
		}
		if err != nil {
			return fmt.Errorf("pinning to %s: %w", dir, err)
		}
		if fs.Type != unix.BPF_FS_MAGIC {
			return fmt.Errorf("pinning to %s: %s is not on a BPF file system; mount one with: mount -t bpf bpf /sys/fs/bpf", dir, at)
		}
		return nil
	}
}
