package pcap

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// ReadPath reads seeds from a file or from all files of a directory, in order of
// name and without its subdirectories. A capture gives an input per packet, a corpus
// file the one that it holds, any other file is one raw packet that starts with an Ethernet header, as AFL and
// libFuzzer leave them. Files whose names start with a dot are left out. In a
// directory, a file that cannot be read is a warning.
func ReadPath(path string, opts Options) (*Seeds, error) {
	opts = opts.withDefaults()
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading seeds: %w", err)
	}
	if !info.IsDir() {
		return readFile(path, opts)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("reading seeds: %w", err)
	}
	all := &Seeds{}
	for _, e := range entries {
		if e.Type()&fs.ModeType&^fs.ModeSymlink != 0 || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if len(all.Inputs) >= opts.MaxPackets {
			all.warn("%s: only the first %d packets are read", path, opts.MaxPackets)
			break
		}
		s, err := readFile(filepath.Join(path, e.Name()), opts)
		if err != nil {
			all.warn("skipped: %v", err)
			continue
		}
		room := min(len(s.Inputs), opts.MaxPackets-len(all.Inputs))
		all.Inputs, all.Frames = append(all.Inputs, s.Inputs[:room]...), append(all.Frames, s.Frames[:room]...)
		all.Warnings = append(all.Warnings, s.Warnings...)
	}
	return all, nil
}

// readFile reads a capture or a raw packet; warnings name the file.
func readFile(path string, opts Options) (*Seeds, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading seed: %w", err)
	}
	if !info.Mode().IsRegular() { // a FIFO would block, a device never end
		return nil, fmt.Errorf("reading seed %s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading seed: %w", err)
	}
	defer f.Close()
	data, err := readAll(f, opts.MaxFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if bytes.HasPrefix(data, []byte(corpus.FileMark)) {
		in, err := corpus.UnmarshalFile(data)
		if err != nil {
			return nil, fmt.Errorf("reading corpus file %s: %w", path, err)
		}
		return &Seeds{Inputs: []*corpus.Input{in}, Frames: []bool{false}}, nil
	}
	if !isCapture(data) {
		return rawPacket(path, data, opts.MaxPacket), nil
	}
	s, err := parse(data, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i, w := range s.Warnings {
		s.Warnings[i] = path + ": " + w
	}
	return s, nil
}

func rawPacket(path string, data []byte, limit int) *Seeds {
	s := &Seeds{Raw: true}
	if len(data) == 0 {
		s.warn("%s: empty, skipped", path)
		return s
	}
	if len(data) > limit {
		s.warn("%s: packet has %d bytes: the first %d are kept", path, len(data), limit)
		data = slices.Clone(data[:limit])
	}
	s.add(data, false)
	return s
}
