"""What labels of versions 2 and 3 may hold: the fields of Traefik's dynamic configuration, and their types.

Each line is a structure: its fields in lower case, since case makes no difference, each with a type: s a text, i a
number, b true or false, d a time, l a list of texts, [X] a list of structures, {X} names with an X each, {s} names with
a text each, {} names with anything, any other word a structure. `?` stands behind what may be there without fields,
`-` behind what labels cannot set and Traefik ignores, `=` behind a list of which labels have one.
https://github.com/traefik/traefik/tree/v3.7/pkg/config/dynamic
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_ENCODED = (
    "allowencodedslash:b allowencodedbackslash:b allowencodednullcharacter:b allowencodedsemicolon:b "
    "allowencodedpercent:b allowencodedquestionmark:b allowencodedhash:b"
)
_NAMES = "country:b province:b locality:b organization:b commonname:b serialnumber:b domaincomponent:b"
_REQUEST_HEADERS = "customrequestheaders:{s} customresponseheaders:{s} allowedhosts:l hostsproxyheaders:l"
_CORS = (
    "accesscontrolallowcredentials:b accesscontrolallowheaders:l accesscontrolallowmethods:l "
    "accesscontrolalloworiginlist:l accesscontrolalloworiginlistregex:l accesscontrolexposeheaders:l "
    "accesscontrolmaxage:i addvaryheader:b"
)
_SECURITY = (
    "sslproxyheaders:{s} stsseconds:i stsincludesubdomains:b stspreload:b forcestsheader:b framedeny:b "
    "customframeoptionsvalue:s contenttypenosniff:b browserxssfilter:b custombrowserxssvalue:s "
    "contentsecuritypolicy:s contentsecuritypolicyreportonly:s publickey:s referrerpolicy:s permissionspolicy:s "
    "isdevelopment:b featurepolicy:s sslredirect:b ssltemporaryredirect:b sslhost:s sslforcehost:b"
)

_LINES = f"""
root http:http tcp:tcp udp:udp tls:tls
http routers:{{router}} services:{{service}} middlewares:{{middleware}} models:{{model}} serverstransports:{{}}-
model middlewares:l tls:routertls? observability:observability deniedencodedpathcharacters:encoded- defaultrulesyntax:s-
router entrypoints:l middlewares:l service:s rule:s parentrefs:l- rulesyntax:s priority:i tls:routertls? observability:observability defaultrule:b- deniedencodedpathcharacters:encoded-
encoded {_ENCODED}
routertls options:s resolvedoptions:s- certresolver:s domains:[domain]
domain main:s sans:l
observability accesslogs:b metrics:b tracing:b traceverbosity:s metadata:{{}}-
service middlewares:l loadbalancer:loadbalancer highestrandomweight:weighted- weighted:weighted- mirroring:mirroring- failover:failover-
weighted services:[weightedservice] sticky:sticky healthcheck:nothing?
weightedservice name:s weight:i headers:{{s}}- status:i- grpcstatus:grpcstatus-
grpcstatus code:i msg:s
mirroring service:s mirrorbody:b maxbodysize:i mirrors:[mirror] healthcheck:nothing?
mirror name:s percent:i
failover service:s fallback:s healthcheck:nothing? errors:failovererrors
failovererrors maxrequestbodybytes:i status:l
nothing
loadbalancer sticky:sticky? server:[server]= strategy:s healthcheck:healthcheck passivehealthcheck:passivehealthcheck passhostheader:b responseforwarding:responseforwarding serverstransport:s nginxupstreamhashby:s-
sticky cookie:cookie?
cookie name:s secure:b httponly:b samesite:s maxage:i path:s domain:s expires:i-
server url:s weight:i preservepath:b fenced:b- scheme:s port:s
healthcheck scheme:s mode:s path:s method:s status:i port:i interval:d unhealthyinterval:d timeout:d hostname:s followredirects:b headers:{{s}}
passivehealthcheck failurewindow:d maxfailedattempts:i
responseforwarding flushinterval:d
middleware addprefix:addprefix stripprefix:stripprefix stripprefixregex:stripprefixregex replacepath:replacepath replacepathregex:replacement chain:chain ipwhitelist:iplist ipallowlist:iplist headers:headers encodedcharacters:encoded errors:errors ratelimit:ratelimit redirectregex:redirectregex redirectscheme:redirectscheme basicauth:auth digestauth:auth forwardauth:forwardauth inflightreq:inflightreq buffering:buffering circuitbreaker:circuitbreaker compress:compress? passtlsclientcert:passtlsclientcert retry:retry contenttype:contenttype? grpcweb:grpcweb plugin:{{plugin}} requestheadermodifier:{{}}- responseheadermodifier:{{}}- requestredirect:{{}}- urlrewrite:{{}}- authtlspasscertificatetoupstream:{{}}- snippet:{{}}- rewritetarget:{{}}- upstreamvhost:{{}}- approot:{{}}-
addprefix prefix:s
stripprefix prefixes:l forceslash:b
stripprefixregex regex:l
replacepath path:s
replacement regex:s replacement:s
chain middlewares:l
iplist sourcerange:l ipstrategy:ipstrategy? rejectstatuscode:i
ipstrategy depth:i excludedips:l ipv6subnet:i
headers {_REQUEST_HEADERS} {_CORS} {_SECURITY}
errors status:l statusrewrites:{{i}} service:s query:s errorrequestheaders:l nginxheaders:{{}}-
ratelimit average:i period:d burst:i sourcecriterion:sourcecriterion redis:redis
sourcecriterion ipstrategy:ipstrategy requestheadername:s requesthost:b
redis endpoints:l tls:clienttls username:s password:s db:i poolsize:i minidleconns:i maxactiveconns:i readtimeout:d writetimeout:d dialtimeout:d
clienttls ca:s cert:s key:s insecureskipverify:b caoptional:b
redirectregex regex:s replacement:s permanent:b statuscode:i-
redirectscheme scheme:s port:s permanent:b forcepermanentredirect:b-
auth users:l usersfile:s realm:s removeheader:b headerfield:s
forwardauth address:s tls:clienttls trustforwardheader:b authresponseheaders:l authresponseheadersregex:s authrequestheaders:l maxresponsebodysize:i addauthcookiestoresponse:l headerfield:s forwardbody:b maxbodysize:i preservelocationheader:b preserverequestmethod:b authsigninurl:s
inflightreq amount:i sourcecriterion:sourcecriterion
buffering maxrequestbodybytes:i memrequestbodybytes:i maxresponsebodybytes:i memresponsebodybytes:i retryexpression:s disablerequestbuffer:b- disableresponsebuffer:b-
circuitbreaker expression:s checkperiod:d fallbackduration:d recoveryduration:d responsecode:i
compress excludedcontenttypes:l includedcontenttypes:l minresponsebodybytes:i encodings:l defaultencoding:s
passtlsclientcert pem:b info:certificateinfo
certificateinfo notafter:b notbefore:b sans:b serialnumber:b subject:subject issuer:issuer
subject {_NAMES} organizationalunit:b
issuer {_NAMES}
retry attempts:i timeout:d initialinterval:d maxrequestbodybytes:i status:l disableretryonnetworkerror:b retrynonidempotentmethod:b
contenttype autodetect:b
grpcweb alloworigins:l
tcp routers:{{tcprouter}} services:{{tcpservice}} middlewares:{{tcpmiddleware}} models:{{}}- serverstransports:{{}}-
tcprouter entrypoints:l middlewares:l service:s rule:s rulesyntax:s priority:i tls:tcproutertls?
tcproutertls passthrough:b options:s certresolver:s domains:[domain]
tcpservice loadbalancer:tcploadbalancer weighted:weighted-
tcploadbalancer server:[tcpserver]= serverstransport:s proxyprotocol:proxyprotocol? terminationdelay:i healthcheck:tcphealthcheck?
tcpserver address:s- port:s tls:b
proxyprotocol version:i
tcphealthcheck port:i send:s expect:s interval:d unhealthyinterval:d timeout:d
tcpmiddleware inflightconn:inflightconn ipwhitelist:tcpiplist ipallowlist:tcpiplist
inflightconn amount:i
tcpiplist sourcerange:l
udp routers:{{udprouter}} services:{{udpservice}}
udprouter entrypoints:l service:s
udpservice loadbalancer:udploadbalancer weighted:weighted-
udploadbalancer server:[udpserver]=
udpserver address:s- port:s
tls certificates:{{}}- options:{{}}- stores:{{store}}
store defaultcertificate:{{}}- defaultgeneratedcert:generatedcert
generatedcert resolver:s domain:domain
enabling enable:b
"""  # noqa: E501 - a structure a line


@dataclass(frozen=True, slots=True)
class Type:
    """`kind` is a letter of values, "struct", "list" (of structures), "map" or "any"; `of` the structure, or the kind
    of a map's values.
    """

    kind: str
    of: str = ""
    may_be_empty: bool = False
    is_ignored: bool = False
    is_one: bool = False


VALUES = frozenset("sibdl")


def _type(text: str) -> Type:
    word = text.rstrip("?-=")
    kind, of = ("struct", word)
    if word in VALUES:
        kind, of = word, ""
    elif word[0] in "[{":
        kind, of = ("list" if word[0] == "[" else "map"), word[1:-1]
    return Type(kind, of, text.endswith("?"), text.endswith("-"), text.endswith("="))


def _fields(words: str) -> Mapping[str, Type]:
    return {name: _type(text) for name, _, text in (word.partition(":") for word in words.split())}


STRUCTURES: Mapping[str, Mapping[str, Type]] = {
    name: _fields(words) for name, _, words in (line.partition(" ") for line in _LINES.strip().splitlines())
}
