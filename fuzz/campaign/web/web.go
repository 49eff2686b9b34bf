// Package web is the dashboard: how a campaign or a run stands, as pages for browsers and
// as JSON. It only reads. All that pages need is in the executable.
package web

import (
	"errors"
	"html/template"
	"net/http"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// Options say what is shown to whom. Board is needed.
type Options struct {
	Board *campaign.Board
	// Details answers what is too much for a Status; nil leaves those parts of a page out.
	Details campaign.Details
	// Token has to be known to see anything, see serve.Options. Where it is "", requests are
	// answered that are meant for loopback by name.
	Token string
	// Version is shown at the foot of pages.
	Version string
	// MaxStreams is how many may follow events at once; 64 where it is 0.
	MaxStreams int
	// Heartbeat is how often something is sent where nothing happens, so that both sides
	// notice a broken connection; 15 s where it is 0. Pace is the least time from event to
	// event of a stream; 500 ms where it is 0.
	Heartbeat, Pace time.Duration
	// Patience is how long somebody may take to receive what is sent before the connection
	// is closed; 10 s where it is 0.
	Patience time.Duration
}

// site answers requests. It is safe for concurrent use.
type site struct {
	opts    Options
	pages   map[string]*template.Template
	assets  map[string]asset
	streams chan struct{} // has a token for each stream
}

// New returns a handler for all of the dashboard. It asks for the token by itself.
func New(opts Options) (http.Handler, error) {
	if opts.Board == nil {
		return nil, errors.New("making the dashboard: there is no board to show")
	}
	if opts.MaxStreams <= 0 {
		opts.MaxStreams = 64
	}
	for value, instead := range map[*time.Duration]time.Duration{
		&opts.Heartbeat: 15 * time.Second, &opts.Pace: 500 * time.Millisecond, &opts.Patience: 10 * time.Second,
	} {
		if *value <= 0 {
			*value = instead
		}
	}
	s := &site{opts: opts, streams: make(chan struct{}, opts.MaxStreams)}
	var err error
	if s.pages, err = readPages(); err != nil {
		return nil, err
	}
	if s.assets, err = readAssets(); err != nil {
		return nil, err
	}
	return secured(guard(opts.Token, s.pages["token"], s.routes())), nil
}

// routes is all that is answered. There is nothing but GET: nobody changes anything.
func (s *site) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, answer := range map[string]http.HandlerFunc{
		"/{$}":                                          s.overview,
		"/log":                                          s.log,
		"/targets/{target}":                             s.target,
		"/targets/{target}/frontier":                    s.frontier,
		"/targets/{target}/source":                      s.source,
		"/targets/{target}/flow":                        s.flow,
		"/targets/{target}/graph.svg":                   s.graph,
		"/targets/{target}/findings/{key}":              s.finding,
		"/targets/{target}/findings/{key}/page":         s.report,
		"/targets/{target}/findings/{key}/files/{file}": s.download,

		"/events":                        s.events,
		"/api/status":                    s.apiStatus,
		"/api/targets/{target}":          s.apiTarget,
		"/api/targets/{target}/frontier": s.apiFrontier,
		"/api/targets/{target}/source":   s.apiSource,

		"/assets/{asset...}": s.asset,
		"/favicon.ico":       s.favicon,
	} {
		mux.HandleFunc("GET "+pattern, answer)
	}
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { s.missing(w, r, "There is no such page.") })
	return mux
}

// secured sets the headers that every answer has: nothing from elsewhere is loaded or run,
// nobody frames a page, and no address leaks.
func secured(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Content-Security-Policy":      "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'self'",
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Cache-Control":                "no-store",
		} {
			w.Header().Set(name, value)
		}
		h.ServeHTTP(w, r)
	})
}
