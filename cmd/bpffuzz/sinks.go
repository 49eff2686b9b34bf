package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/pcap"
)

// sink is where inputs are copied to. Nothing is made before the first input is put.
type sink interface {
	put([]*corpus.Input) error
	// done ends it and says in a line or more what it has.
	done() (string, error)
	// close removes what is unfinished.
	close() error
}

// corpusSink is a directory of corpus files.
type corpusSink struct {
	path        string
	dir         *corpus.Dir
	read, wrote int
}

func newCorpusSink(path string) sink { return &corpusSink{path: path} }

func (s *corpusSink) put(inputs []*corpus.Input) (err error) {
	if s.dir == nil {
		if s.dir, err = corpus.OpenDir(s.path); err != nil {
			return err
		}
	}
	n, err := s.dir.AddNew(inputs...)
	s.read, s.wrote = s.read+len(inputs), s.wrote+n
	return err
}

func (s *corpusSink) done() (string, error) {
	return fmt.Sprintf("%s written to %s, %d were there", count(s.wrote, "input"), s.path, s.read-s.wrote), nil
}

func (s *corpusSink) close() error { return nil }

// rawSink is a directory of packets as they are.
type rawSink struct {
	path        string
	made        bool
	read, wrote int
	lost        lost
}

func newRawSink(path string) sink { return &rawSink{path: path} }

func (s *rawSink) put(inputs []*corpus.Input) error {
	if !s.made {
		if err := os.MkdirAll(s.path, 0o755); err != nil {
			return fmt.Errorf("making directory %s: %w; choose another with --raw", s.path, err)
		}
		s.made = true
	}
	var files []corpus.File
	for _, in := range inputs {
		s.lost.note(in)
		for i := range in.Steps {
			if packet := in.Steps[i].Packet; len(packet) > 0 {
				sum := sha1.Sum(packet)
				files = append(files, corpus.File{Name: hex.EncodeToString(sum[:]), Contents: packet})
			}
		}
	}
	n, err := corpus.WriteFiles(s.path, files)
	s.read, s.wrote = s.read+len(files), s.wrote+n
	return err
}

func (s *rawSink) done() (string, error) {
	return fmt.Sprintf("%s written to %s, %d were there%s", count(s.wrote, "packet"), s.path, s.read-s.wrote, s.lost.text("raw packets")), nil
}

func (s *rawSink) close() error { return nil }

// pcapSink is a capture, which appears whole.
type pcapSink struct {
	path string
	form pcap.Form
	temp *os.File // nil before the first input, and at the end
	buf  *bufio.Writer
	to   *pcap.Writer
	lost lost
}

func newPcapSink(path string, payload bool) sink {
	s := &pcapSink{path: path}
	if payload {
		s.form = pcap.Payload
	}
	return s
}

func (s *pcapSink) put(inputs []*corpus.Input) error {
	if s.temp == nil {
		if err := s.create(); err != nil {
			return err
		}
	}
	for _, in := range inputs {
		s.lost.note(in)
		if err := s.to.Add(in); err != nil {
			return err
		}
	}
	return nil
}

func (s *pcapSink) create() (err error) {
	if _, err := os.Lstat(s.path); err == nil {
		return usageError("%s is there already: choose another file with --pcap", s.path)
	}
	if s.temp, err = os.CreateTemp(filepath.Dir(s.path), ".tmp-*"); err != nil {
		return fmt.Errorf("making capture %s: %w; choose another file with --pcap", s.path, err)
	}
	s.buf = bufio.NewWriter(s.temp)
	s.to, err = pcap.NewWriter(s.buf, s.form)
	return err
}

func (s *pcapSink) done() (string, error) {
	err := errors.Join(s.buf.Flush(), s.temp.Chmod(0o644), s.temp.Sync())
	if err == nil {
		err = os.Rename(s.temp.Name(), s.path)
	}
	if err != nil {
		return "", fmt.Errorf("writing capture %s: %w", s.path, err)
	}
	temp := s.temp
	s.temp = nil
	err = errors.Join(temp.Close(), syncDir(filepath.Dir(s.path)))
	return fmt.Sprintf("%s written to %s%s", count(int(s.to.Packets()), "packet"), s.path, s.lost.text("captures")), err
}

func (s *pcapSink) close() error {
	if s.temp == nil {
		return nil
	}
	return errors.Join(s.temp.Close(), os.Remove(s.temp.Name()))
}

// lost counts inputs that have what packets have no place for.
type lost struct{ maps, meta, contexts, chance, others int }

func (l *lost) note(in *corpus.Input) {
	var meta, contexts, chance, others int
	for i := range in.Steps {
		s := &in.Steps[i]
		meta, contexts, chance = meta|len(s.Meta), contexts|len(s.Context), chance|len(s.Chance)
		others |= int(s.Flags) | int(s.Fault)
	}
	for _, c := range []struct {
		n   *int
		has int
	}{{&l.maps, len(in.Maps)}, {&l.meta, meta}, {&l.contexts, contexts}, {&l.chance, chance}, {&l.others, others}} {
		if c.has != 0 {
			*c.n++
		}
	}
}

func (l *lost) text(where string) string {
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{
		{l.maps, "contents of maps"},
		{l.meta, "metadata"},
		{l.contexts, "a context"},
		{l.chance, "bytes for time and chance"},
		{l.others, "flags or faults"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%s of %s", c.what, count(c.n, "input")))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("\nbpffuzz: note: left out, as %s have no place for it: %s", where, strings.Join(parts, ", "))
}
