// Package report writes findings for people and for programs.
package report

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/pcap"
	"github.com/bpffuzz/bpffuzz/triage"
)

// Options say what a report cannot know by itself. The zero value works.
type Options struct {
	// Command is the one command that replays the finding. The word FINDING in it
	// stands for the finding's directory; "" leaves the command out.
	Command string
	// Path returns the directory of a key; nil stands for the key itself.
	Path func(key string) string
	// Recipe says how an input is run without the fuzzer, for the exports that do it; nil
	// leaves those out. Its error is a reason why there are none.
	Recipe func(f *triage.Finding) (*Recipe, error)
}

// command returns the command that replays f, "" for none.
func (o Options) command(f *triage.Finding) string { return o.commandOf(f.Key) }

func (o Options) commandOf(key string) string {
	path := key
	if o.Path != nil {
		path = o.Path(key)
	}
	return strings.ReplaceAll(o.Command, "FINDING", ShellWord(path))
}

// ShellWord quotes s where a shell would read it as something else.
func ShellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=@%+,", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Renderer returns a function for triage.OpenStore.
func Renderer(opts Options) triage.Render {
	return func(f *triage.Finding) (map[string][]byte, error) { return Render(f, opts) }
}

// recipe returns the recipe of a finding, nil where there is none.
func (o Options) recipe(f *triage.Finding) (*Recipe, error) {
	if o.Recipe == nil {
		return nil, nil
	}
	r, err := o.Recipe(f)
	if err != nil {
		return nil, fmt.Errorf("writing exports of finding %s: %w", f.Key, err)
	}
	if why := unseen(f); why != "" && r != nil {
		r.Limits = append(r.Limits, Limit{Exports: Loaders(), Why: why})
	}
	return r, nil
}

// Render returns the files of a finding by name: report.txt, report.json, report.md,
// report.html, input.pcap where the input has packets (link type Ethernet, USER0 for payload), the
// original input as a corpus file, and exports: what runs the input elsewhere.
func Render(f *triage.Finding, opts Options) (map[string][]byte, error) {
	r, err := opts.recipe(f)
	if err != nil {
		return nil, err
	}
	json, err := jsonOf(f, opts, r)
	if err != nil {
		return nil, fmt.Errorf("writing finding %s as JSON: %w", f.Key, err)
	}
	page, err := htmlOf(f, opts, r)
	if err != nil {
		return nil, fmt.Errorf("writing finding %s as HTML: %w", f.Key, err)
	}
	files := exports(f, r)
	files["report.txt"], files["report.json"] = []byte(textOf(f, opts, r)), json
	files["report.md"], files["report.html"] = []byte(markdownOf(f, opts, r)), page
	if f.Original != nil {
		files["original"] = corpus.MarshalFile(f.Original)
	}
	if hasPacket(f.Input) {
		var capture bytes.Buffer
		if err := pcap.Write(&capture, f.Input, formOf(f)); err != nil {
			return nil, fmt.Errorf("writing the packets of finding %s: %w", f.Key, err)
		}
		files["input.pcap"] = capture.Bytes()
	}
	return files, nil
}

// formOf returns what the packets of a finding are.
func formOf(f *triage.Finding) pcap.Form { return form(f.Payload) }

func form(payload bool) pcap.Form {
	if payload {
		return pcap.Payload
	}
	return pcap.Frames
}

func hasPacket(in *corpus.Input) bool {
	for i := range in.Steps {
		if len(in.Steps[i].Packet) > 0 {
			return true
		}
	}
	return false
}
