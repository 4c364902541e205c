package linktest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"ssmrun/internal/sigv4"
	"ssmrun/internal/wire"
)

// serveCall answers the calls of Systems Manager.
func (s *Server) serveCall(w http.ResponseWriter, r *http.Request, op string, set Settings) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, "SerializationException", err.Error())
		return
	}
	e := Event{Kind: op}
	defer func() { s.add(e) }()
	if set.Deny {
		e.Kind = "refused " + op
		refuse(w, "AccessDeniedException", "denied")
		return
	}
	var out any = struct{}{}
	var code string
	switch op {
	case wire.OpRegisterManagedInstance:
		out, code, err = s.register(r, body)
	case wire.OpRequestManagedInstanceRoleToken:
		out, code, err = s.roleToken(r, body, set)
	case wire.OpUpdateManagedInstancePublicKey:
		code, err = s.newKey(r, body, set)
		if err == nil && set.LoseKeyAnswer {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
			return
		}
	case wire.OpUpdateInstanceInformation:
		if code, err = s.verify(r, sigv4.PayloadHash(body), "ssm", set); err == nil {
			err = wire.Unmarshal(body, &e.Info)
		}
	case wire.OpGetParameters:
		if set.ParametersFail > 0 {
			s.Set(func(set *Settings) { set.ParametersFail-- })
			e.Kind = "failed " + op
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		out, code, err = s.parameters(r, body, set)
	default:
		code, err = "UnknownOperationException", errors.New(op)
	}
	if err != nil {
		e.Kind = "refused " + op
		refuse(w, code, err.Error())
		return
	}
	w.Header().Set("Content-Type", wire.ContentType)
	b, err := wire.Marshal(out)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(b)
}

func (s *Server) parameters(r *http.Request, body []byte, set Settings) (any, string, error) {
	if code, err := s.verify(r, sigv4.PayloadHash(body), "ssm", set); err != nil {
		return nil, code, err
	}
	var in wire.GetParametersRequest
	if err := wire.Unmarshal(body, &in); err != nil || len(in.Names) > 10 {
		return nil, "ValidationException", errors.Join(err, fmt.Errorf("%d names", len(in.Names)))
	}
	out := wire.GetParametersResponse{Parameters: []wire.Parameter{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		i := slices.IndexFunc(set.Parameters, func(p wire.Parameter) bool { return p.Name+p.Selector == name })
		if i < 0 {
			out.InvalidParameters = append(out.InvalidParameters, name)
			continue
		}
		p := set.Parameters[i]
		if p.Type == "SecureString" && !in.WithDecryption {
			p.Value = "sealed"
		}
		out.Parameters = append(out.Parameters, p)
	}
	return out, "", nil
}

func (s *Server) register(r *http.Request, body []byte) (any, string, error) {
	var in wire.RegisterManagedInstanceRequest
	if err := wire.Unmarshal(body, &in); err != nil {
		return nil, "SerializationException", err
	}
	if r.Header.Get("Authorization") != "" {
		return nil, "ValidationException", errors.New("a registration is not signed")
	}
	if in.ActivationID != s.ActivationID || in.ActivationCode != s.ActivationCode {
		return nil, "InvalidActivation", errors.New("activation not found")
	}
	key, err := parseKey(in.PublicKey)
	if err != nil {
		return nil, "ValidationException", err
	}
	s.Know(in.Fingerprint, key)
	return wire.RegisterManagedInstanceResponse{InstanceID: s.InstanceID}, "", nil
}

func parseKey(text string) (*rsa.PublicKey, error) {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := k.(*rsa.PublicKey)
	if !ok || key.N.BitLen() != 2048 {
		return nil, errors.New("want RSA-2048")
	}
	return key, nil
}

// verifyRSA checks a signature by the registered key.
func (s *Server) verifyRSA(r *http.Request, body []byte, set Settings) error {
	signed, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	key := s.key
	s.mu.Unlock()
	if signed.AccessKeyID != s.InstanceID || key == nil {
		return errors.New("unknown instance")
	}
	v := sigv4.Verifier{Now: func() time.Time { return time.Now().Add(set.ClockOffset) }}
	return v.VerifyRSA(r, signed, sigv4.PayloadHash(body), key)
}

func (s *Server) roleToken(r *http.Request, body []byte, set Settings) (any, string, error) {
	var in wire.RequestManagedInstanceRoleTokenRequest
	if err := wire.Unmarshal(body, &in); err != nil {
		return nil, "SerializationException", err
	}
	if err := s.verifyRSA(r, body, set); err != nil {
		return nil, "InvalidSignatureException", err
	}
	raw := make([]byte, 30)
	_, _ = rand.Read(raw)
	life := set.TokenLife
	if life == 0 {
		life = time.Hour
	}
	out := wire.RequestManagedInstanceRoleTokenResponse{
		AccessKeyID: "ASIA" + strings.ToUpper(hex.EncodeToString(raw[:8])), SecretAccessKey: hex.EncodeToString(raw[8:20]),
		SessionToken: hex.EncodeToString(raw[20:]), UpdateKeyPair: set.NewKeys,
		TokenExpirationDate: wire.Epoch{Time: time.Now().Add(set.ClockOffset + life)},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.Fingerprint != s.print {
		return nil, "MachineFingerprintDoesNotMatch", errors.New("fingerprint")
	}
	s.secrets[out.AccessKeyID], s.tokens[out.AccessKeyID] = out.SecretAccessKey, out.SessionToken
	return out, "", nil
}

func (s *Server) newKey(r *http.Request, body []byte, set Settings) (string, error) {
	var in wire.UpdateManagedInstancePublicKeyRequest
	if err := wire.Unmarshal(body, &in); err != nil {
		return "SerializationException", err
	}
	if err := s.verifyRSA(r, body, set); err != nil {
		return "InvalidSignatureException", err
	}
	key, err := parseKey(in.NewPublicKey)
	if err != nil {
		return "ValidationException", err
	}
	s.mu.Lock()
	s.key, s.Settings.NewKeys = key, false
	s.mu.Unlock()
	return "", nil
}
