package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

// rawReport is what replay shows of a run on raw bytes, with bpftool's names.
type rawReport struct {
	Ret     uint32 `json:"retval"`
	Verdict string `json:"verdict,omitempty"`
	// Duration is the mean in nanoseconds.
	Duration uint32 `json:"duration"`
	// Data and Context are hexadecimal digits, there when an output was asked for.
	Data    string `json:"data_out,omitempty"`
	Context string `json:"ctx_out,omitempty"`
	// Objection is what the kernel objects to in what the program did.
	Objection string         `json:"objection,omitempty"`
	Printed   []string       `json:"printed,omitempty"`
	Profile   []profileLine  `json:"profile,omitempty"`
	Pinned    []string       `json:"pinned,omitempty"`
	Program   *loadedSummary `json:"program,omitempty"`

	done   bool // the program ran
	live   bool // and its verdict was done
	result *bpf.RawResult
}

func (r *rawReport) text() string {
	var b strings.Builder
	for _, path := range r.Pinned {
		fmt.Fprintf(&b, "pinned %s\n", path)
	}
	if r.done {
		ret := strconv.FormatUint(uint64(r.Ret), 10)
		if r.Verdict != "" {
			ret += " (" + r.Verdict + ")"
		}
		if r.live {
			ret += " (live frames have no other: their verdict is done)"
		}
		fmt.Fprintf(&b, "Return value: %s, duration (average): %dns\n", ret, r.Duration)
	}
	if r.Objection != "" {
		fmt.Fprintf(&b, "FAILS: %s\n", r.Objection)
	}
	writePrinted(&b, r.Printed)
	writeProfile(&b, r.Profile)
	b.WriteString(r.Program.text())
	return b.String()
}

func writePrinted(b *strings.Builder, lines []string) {
	for _, line := range lines {
		fmt.Fprintf(b, "printed: %s\n", line)
	}
}

// profileLine is an event of the processor as replay --profile shows it.
type profileLine struct {
	Event string `json:"event"`
	// PerRun is the mean over the runs; Unavailable says why there is none.
	PerRun      float64 `json:"per_run"`
	Unavailable string  `json:"unavailable,omitempty"`
}

func newProfile(counters []bpf.Counter) []profileLine {
	var lines []profileLine
	for _, c := range counters {
		line := profileLine{Event: c.Name, PerRun: c.PerRun}
		if c.Err != nil {
			line.PerRun, line.Unavailable = 0, c.Err.Error()
		}
		lines = append(lines, line)
	}
	return lines
}

func writeProfile(b *strings.Builder, lines []profileLine) {
	for _, line := range lines {
		if line.Unavailable != "" {
			fmt.Fprintf(b, "%s per run: not counted, %s\n", line.Event, line.Unavailable)
			continue
		}
		fmt.Fprintf(b, "%s per run: %.1f\n", line.Event, line.PerRun)
	}
}

// loadedSummary is what the kernel says of a loaded program.
type loadedSummary struct {
	ID       uint32   `json:"id"`
	Type     string   `json:"type"`
	Name     string   `json:"name"`
	Tag      string   `json:"tag"`
	MapIDs   []uint32 `json:"map_ids"`
	RunCount uint64   `json:"run_cnt"`
	RunTime  int64    `json:"run_time_ns"`
	// Here are the runs while replay was at work, which others may have had as well.
	Here  uint64       `json:"runs_meanwhile"`
	Users []loadedUser `json:"users"`
}

type loadedUser struct {
	PID  int    `json:"pid"`
	Comm string `json:"comm"`
}

// text says it to people, "" for no program.
func (s *loadedSummary) text() string {
	if s == nil {
		return ""
	}
	users := "no process that can be seen; it may be attached or pinned"
	if len(s.Users) > 0 {
		words := make([]string, len(s.Users))
		for i, u := range s.Users {
			words[i] = fmt.Sprintf("%s(%d)", u.Comm, u.PID)
		}
		users = strings.Join(words, ", ")
	}
	return fmt.Sprintf("program %d: %s name %s tag %s, run_cnt %d, run_time_ns %d, %s meanwhile\nusers: %s\n",
		s.ID, s.Type, s.Name, s.Tag, s.RunCount, s.RunTime, count(int(s.Here), "run"), users)
}

// counted has the kernel count runs while do works, and describes the program
// afterwards.
func counted(program *bpf.Loaded, do func() error) (*loadedSummary, error) {
	statistics, err := bpf.EnableStatistics()
	if err != nil {
		return nil, err
	}
	before, err := program.Describe()
	if err != nil {
		return nil, errors.Join(err, statistics.Close())
	}
	err = do()
	after, describeErr := program.Describe()
	err = errors.Join(err, describeErr, statistics.Close())
	if after == nil {
		return nil, err
	}
	s := &loadedSummary{
		ID: after.ID, Type: after.Type, Name: program.Name(), Tag: after.Tag, MapIDs: after.MapIDs,
		RunCount: after.RunCount, RunTime: after.RunTime.Nanoseconds(), Here: after.RunCount - before.RunCount, Users: []loadedUser{},
	}
	for _, user := range after.Users {
		s.Users = append(s.Users, loadedUser{user.PID, user.Comm})
	}
	return s, err
}

// count32 writes a number.
func count32(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
