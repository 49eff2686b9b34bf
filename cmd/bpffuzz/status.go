package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// status is what stats.json has besides a summary: numbers under the names and in the
// units that afl-fuzz's fuzzer_stats has them, for scripts that read those.
type status struct {
	RunTime int64 `json:"run_time"` // in seconds
	PID     int   `json:"fuzzer_pid"`
	// LastFind and LastFinding are in seconds since 1970; 0 for never.
	LastFind    int64 `json:"last_find"`
	LastFinding int64 `json:"last_finding"`
	// Covered is in per cent, with the sign.
	Covered string `json:"bitmap_cvg"`
	PeakRSS int64  `json:"peak_rss_mb"`
	Banner  string `json:"afl_banner"` // the program
}

func newStatus(s *summary, o *output, now time.Time) *status {
	st := &status{RunTime: int64(s.Elapsed), PID: os.Getpid(), Covered: percent(s.Edges, s.Total), PeakRSS: peakRSS(), Banner: o.program}
	if s.Corpus > 0 {
		st.LastFind = now.Add(-time.Duration(s.Newest * float64(time.Second))).Unix()
	}
	if at := o.lastStored(); !at.IsZero() {
		st.LastFinding = at.Unix()
	}
	return st
}

// percent writes a share as afl-fuzz does.
func percent(n, of int) string {
	if of == 0 {
		return "0.00%"
	}
	return fmt.Sprintf("%.2f%%", 100*float64(n)/float64(of))
}

// peakRSS is the most memory that this process had, in MiB; 0 where that is not known.
func peakRSS() int64 {
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return int64(used.Maxrss) >> 10
}
