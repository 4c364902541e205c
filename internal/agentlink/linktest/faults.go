package linktest

import (
	"io"
	"net/http"

	"ssmrun/internal/wire"
)

// The ways in which a control channel does not work.
const (
	ChannelDenied    = "denied"    // CreateControlChannel is refused
	ChannelBusy      = "busy"      // CreateControlChannel is answered 503
	ChannelNonsense  = "nonsense"  // CreateControlChannel is answered with no XML
	ChannelHangs     = "hangs"     // the websocket is not answered
	ChannelBlocked   = "blocked"   // a proxy answers the websocket with 403
	ChannelRefused   = "refused"   // the service refuses the websocket and says why
	ChannelShort     = "short"     // the websocket is closed once it is open
	ChannelNoUpgrade = "noupgrade" // the websocket is answered 200
)

// spoil answers a call for the control channel as Settings.Channel says, and
// tells whether it did.
func (s *Server) spoil(w http.ResponseWriter, r *http.Request, set Settings) bool {
	first := r.Method == http.MethodPost
	switch {
	case set.Channel == ChannelDenied && first:
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<AccessDeniedException></AccessDeniedException>")
	case set.Channel == ChannelBusy && first:
		w.Header().Set("Retry-After", set.RetryAfter)
		w.WriteHeader(http.StatusServiceUnavailable)
	case set.Channel == ChannelNonsense && first:
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"TokenValue":"json"}`)
	case set.Channel == ChannelHangs && !first:
		s.add(Event{Kind: "hangs"})
		<-r.Context().Done()
	case set.Channel == ChannelBlocked && !first:
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<html>websockets are not allowed here</html>")
	case set.Channel == ChannelRefused && !first:
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write(wire.EncodeChannelError(wire.CodeAccessDenied, "For instance i: there is no such instance."))
	case set.Channel == ChannelNoUpgrade && !first:
		w.WriteHeader(http.StatusOK)
	default:
		return false
	}
	s.add(Event{Kind: "spoilt channel"})
	return true
}

// told is a reply by either channel.
func (e Event) told() bool { return e.Kind == wire.TypeAgentJobReply || e.Kind == wire.OpSendReply }
