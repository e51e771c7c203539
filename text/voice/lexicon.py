"""The values of the slots of the voice corpus, as patterns.

"(a|b|)" stands for one of its alternatives, "{part}" for an entry of PARTS. Names are composed of syllables: they
are fictitious, and there are more of them than in the training sentences.
"""

from __future__ import annotations

PARTS: dict[str, tuple[str, ...]] = {
    "first": (
        "(anna|ben|clara|david|ella|felix|grace|henry|iris|jonas|karen|leo)",
        "(maria|nora|oscar|paula|quentin|rosa|simon|tara|ulrich|vera|walter|yasmin)",
        "(zoe|amir|bianca|carlos|daria|emil|farah|gustav|hana|ivan)",
    ),
    "last": ("{head}{tail}",),
    "head": (
        "(al|bar|bel|bran|cal|cor|dar|del|el|fen|gar|hal|har|kel|lan)",
        "(lor|mar|mel|mor|nor|pel|ran|ros|sel|tal|tor|val|wes|win)",
    ),
    "tail": ("(berg|by|den|dane|dor|field|lin|man|mont|ner|ova|ridge|sen|stein)",),
    "town": ("{head}(bury|ford|ham|haven|mouth|port|ton|ville|wick|worth|minster|stead)",),
    "nation": ("{head}(avia|donia|gary|istan|land|onia|uay|vania)",),
    "adjective": (
        "(broken|burning|crimson|distant|electric|empty|endless|fallen|forgotten|frozen)",
        "(gentle|golden|hidden|hollow|lonely|lost|midnight|paper|quiet|restless)",
        "(secret|silent|silver|sleeping|velvet|wandering|wild|winter)",
    ),
    "noun": (
        "(ocean|river|mirror|garden|city|shadow|letter|mountain|window|horizon)",
        "(engine|island|lantern|summer|harbor|valley|road|forest|ghost|thunder)",
        "(clock|feather|bridge|desert|signal|station|orchard|dream)",
    ),
    "plural": (
        "(tigers|sparrows|wolves|rockets|pilots|foxes|lanterns|poets|rebels|giants)",
        "(comets|falcons|pirates|hunters|dancers|sailors|strangers|painters|owls)",
    ),
    "hour": ("(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)",),
    "small": ("(two|three|four|five|six|seven|eight|nine|ten|twelve)",),
    "tens": ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),
    "digit": ("(one|two|three|four|five|six|seven|eight|nine)",),
    "weekday": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    "month": ("(january|february|march|april|may|june|july|august|september|october|november|december)",),
    "ordinal": (
        "(first|second|third|fourth|fifth|sixth|seventh|eighth)",
        "(ninth|tenth|eleventh|twelfth|fifteenth|twentieth|thirtieth)",
    ),
    "relative": ("(mother|father|sister|brother|aunt|uncle|cousin|boss|dentist|neighbor)",),
    "food": (
        "(chicken|lentil|mushroom|tomato|salmon|potato|pumpkin|spinach|shrimp|bean)",
        "(carrot|lamb|noodle|egg|onion|pepper|rice|cheese|apple|coconut)",
    ),
    "chore": (
        "(water|check|cut) the (plants|roses|hedge|lawn)",
        "feed the (cat|dog|fish|hens)",
        "pay the (rent|gas|phone) bill",
        "call my {relative}",
        "take out the (trash|bottles|paper)",
        "walk the dog",
        "wash the (car|windows|curtains)",
        "pick up the (kids|parcel|laundry|cake)",
        "return the (books|keys|tools)",
        "clean the (oven|attic|gutters)",
        "email {first}",
        "buy (stamps|flowers|candles|batteries)",
        "book the (hotel|flights|sitter)",
    ),
}

VALUES: dict[str, tuple[str, ...]] = {
    # Listening and watching.
    "song": (
        "{adjective} {noun}",
        "the {noun} and the {noun}",
        "{noun} in the {noun}",
        "my {adjective} heart",
        "(dancing|running|waiting|falling) (with|through) the {noun}",
        "{adjective} {adjective} {plural}",
        "letters to {first}",
        "{first} in the {noun}",
    ),
    "artist": (
        "{first} {last}",
        "the {adjective} {plural}",
        "{first} and the {plural}",
        "{last} {last}",
        "dj {last}",
    ),
    "album": (
        "{adjective} {plural}",
        "{plural} of {town}",
        "the {noun} sessions",
        "songs (from|for) the {noun}",
    ),
    "genre": (
        "(smooth|acid|modern|free|latin|vocal|cool) jazz",
        "(indie|hard|punk|folk|soft|surf|glam) rock",
        "(deep|french|tropical|acid|tech) house",
        "(old school|southern|abstract|jazz) hip hop",
        "(slow|classic|modern|) (bluegrass|opera|reggae|swing|techno|salsa|disco|gospel|flamenco|polka)",
        "(delta|electric|country|texas) blues",
    ),
    "playlist": (
        "(morning|evening|sunday|friday|winter|summer|rainy) (workout|coffee|drive|chill|cleaning|party|run)",
        "{first} 's favorites",
        "{adjective} (grooves|beats|nights|hits)",
    ),
    "mood": (
        "(very|really|something|a bit|) (happy|relaxing|sad|romantic|dreamy|calm|upbeat|gloomy|mellow)",
    ),
    "decade": ("(early|late|mid|) (twenties|thirties|forties|fifties|sixties|seventies|eighties|nineties)",),
    "volume": (
        "{tens} percent",
        "{tens} {digit} percent",
        "level {small}",
        "(half|full|maximum|minimum|quarter) volume",
    ),
    "podcast": (
        "the {noun} (hour|report|show|diaries)",
        "{adjective} (stories|science|minds)",
        "talking {plural}",
    ),
    "episode": (
        "episode {small}",
        "episode {tens} {digit}",
        "the (latest|newest|first|last|previous|next) (episode|one)",
    ),
    "station": ("radio {last}", "{town} (fm|radio|community radio)", "{tens} {digit} point {digit} (fm|)"),
    "book": (
        "the {noun} of {town}",
        "a {noun} for {first}",
        "the {adjective} {noun} keeper",
        "{first} and the {noun}",
    ),
    "author": ("{first} {last}", "{first} {first} {last}", "(doctor|professor|sir) {last}"),
    "chapter": (
        "chapter {small}",
        "chapter {tens} {digit}",
        "the (first|second|third|last|final|next|opening) chapter",
    ),
    "movie": (
        "the last {noun}",
        "return to {town}",
        "night of the {plural}",
        "{adjective} {noun} (two|three|four)",
    ),
    "movie_genre": (
        "(dark|romantic|silent|classic|french|family|teen) (comedy|thriller|drama|western|musical)",
    ),
    "cinema": ("the {town} (odeum|picture house|cinema)", "{last} (theater|cinema|pictures)"),
    "rating": (
        "{digit} (stars|points)",
        "{digit} out of (five|six|ten)",
        "{digit} and a half stars",
        "zero stars",
    ),
    # The house.
    "room": (
        "(guest|kids|main|upstairs|downstairs|small|second|blue) (bedroom|bathroom|hallway|office)",
        "(big|old|summer|) (kitchen|cellar|pantry|attic|garage|study|library|nursery|sunroom)",
        "(living|dining|laundry|sewing|play|utility) room",
    ),
    "fixture": (
        "(ceiling|reading|bedside|desk|wall|floor|corner|hanging) (lamp|light|spot)",
        "(long|small|new|) (fairy|string|cabinet|stair) lights",
        "(chandelier|lantern)",
    ),
    "color": (
        "(dark|light|pale|bright|deep|warm|) (red|blue|green|yellow|orange|purple|pink|violet)",
        "(warm|cold|soft|ivory) white",
    ),
    "brightness": (
        "{tens} percent",
        "{tens} {digit} percent",
        "(half|full|a third of its|a quarter of its) brightness",
    ),
    "temperature": ("{tens} degrees", "{tens} {digit} degrees", "{tens} {digit} (celsius|fahrenheit)"),
    "door": (
        "(front|back|side|patio|balcony|porch|shed|barn|main|wooden|glass|sliding) (door|gate|entrance)",
    ),
    "appliance": (
        "(robot|upstairs|old|new|big|little|) (vacuum|mop|mower|dishwasher|dryer|oven|humidifier)",
        "(old|new|) (washing|coffee|bread|ice) machine",
        "(old|new|) (rice|slow|pressure) cooker",
        "air (purifier|fryer|cooler|conditioner)",
    ),
    "program": (
        "(quick|gentle|cotton|wool|eco|deep clean|turbo|silent|night|delicate|heavy) (program|mode|cycle)",
    ),
    # The road.
    "tickets": ("{small} (adult|child|student|return|single|first class|second class|group) tickets",),
    "place": (
        "the {town} (museum|airport|stadium|zoo|library|mall|hospital)",
        "{last} (park|square|beach|castle|gardens)",
        "the {adjective} {noun} (hotel|inn)",
    ),
    "address": (
        "{small} {last} (street|avenue|lane|road)",
        "{tens} {digit} {noun} (street|avenue|lane|road)",
        "{tens} {tens} {last} (drive|court)",
    ),
    "road": (
        "(highway|route|interstate) {tens} {digit}",
        "the {town} (bypass|tunnel|bridge|turnpike)",
        "{noun} parkway",
    ),
    "poi": (
        "(gas|charging|police|train|fire) station",
        "(cheap|covered|underground|free) (parking lot|car park)",
        "(good|small|open|) (bakery|pharmacy|playground|laundromat|campsite|drugstore)",
        "(big|open|) (car wash|rest stop|post office|cash machine)",
    ),
    "distance": (
        "{small} (miles|kilometers|blocks)",
        "{tens} (miles|kilometers|yards)",
        "{digit} hundred (meters|yards)",
    ),
    "seat": (
        "(driver|passenger|rear|front|left|right|back left|back right|middle) (seat|seats|seat cushion)",
    ),
    # People and days.
    "contact": (
        "{first}",
        "{first} {last}",
        "my {relative}",
        "(aunt|uncle|doctor|grandma) {first}",
        "{first} 's {relative}",
    ),
    "phone_kind": ("(mobile|office|home|work|private|second|old|new) (phone|number|line)",),
    "message": (
        "i (am|will be) (running late|stuck in traffic|on my way|almost there|home soon|at the {noun})",
        "(dinner|lunch|breakfast|the party) is (ready|cancelled|delayed|at {hour})",
        "do not forget (the keys|your coat|the tickets|our {noun})",
        "see you (tomorrow|soon|on {weekday}|at {hour})",
    ),
    "time": (
        "{hour} (am|pm)",
        "{hour} (fifteen|thirty|forty five|twenty) (am|pm|)",
        "(half|quarter|ten|five|twenty) past {hour}",
        "(quarter|ten|five|twenty) to {hour}",
        "{hour} o'clock (in the morning|in the evening|sharp|)",
        "(noon|midnight|sunset|sunrise)",
    ),
    "date": (
        "(next|this|) {weekday} (morning|evening|afternoon|night|)",
        "(tomorrow|today) (morning|evening|afternoon|)",
        "the {ordinal} of {month}",
        "{month} {ordinal}",
        "in {small} (days|weeks)",
        "(next|this) (week|month|weekend)",
    ),
    "duration": (
        "{small} (minutes|hours)",
        "{tens} (seconds|minutes)",
        "{tens} {digit} (minutes|seconds)",
        "(half an|one) hour",
        "{digit} and a half (hours|minutes)",
        "{digit} hours and {tens} minutes",
    ),
    "alarm_name": ("(gym|school|medicine|weekend|early|late|backup|nap|train|work|yoga) (alarm|wake up)",),
    "timer_name": (
        "{food} (soup|stew|bake|pie)",
        "(laundry|homework|meditation|plank|tea|nap|egg|sauna|parking) timer",
    ),
    "task": ("{chore}",),
    "event": (
        "(team|budget|project|parents|board|sales) (meeting|review|lunch|call)",
        "{first} 's (wedding|birthday party|graduation|farewell)",
        "(dentist|haircut|piano|vet|eye doctor) appointment",
    ),
    # The world.
    "city": ("{town}", "(new|old|east|west|north|south|upper|port|saint) {town}"),
    "condition": (
        "(heavy|light|freezing|) (rain|snow|fog|hail)",
        "(thunder|snow|dust|hail) storms",
        "(strong|light|icy) (wind|winds|showers)",
        "(very|mostly|rather|) (sunny|cloudy|humid|windy|foggy|stormy|chilly|muggy)",
    ),
    "country": ("{nation}", "(north|south|east|west|upper|lower) {nation}"),
    "topic": (
        "(solar|wind|space|ocean|nuclear|water) (energy|travel|research|power)",
        "(local|foreign|student|housing) (politics|elections|prices)",
        "(ancient|modern|medieval|local|asian) (history|art|philosophy|science|music)",
        "(urban|modern|amateur|) (gardening|astronomy|fishing|robotics|architecture|beekeeping|sailing)",
    ),
    "team": ("the {town} {plural}", "{town} (united|city|rovers|athletic)", "the {adjective} {plural}"),
    "sport": (
        "(beach|ice|street|table|indoor|wheelchair) (hockey|tennis|football|volleyball|basketball|handball)",
    ),
    "language": (
        "(old|modern|simple|) (spanish|german|french|italian|swedish|dutch|polish|turkish|korean|hindi)",
        "(old|modern|classical|) (norse|latin|arabic|greek|irish|japanese|persian|welsh|danish|thai)",
    ),
    "phrase": (
        "(good|happy) (morning|evening|night|birthday|holidays)",
        "(where|how far) is the (station|hotel|exit|beach)",
        "i (love|need|miss|lost) (you|my {noun}|the {noun})",
        "thank you (very much|for the {noun})",
    ),
    "amount": (
        "{small}",
        "{tens}",
        "{tens} {digit}",
        "{digit} hundred",
        "{digit} and a half",
        "{digit} thousand",
    ),
    "unit": (
        "(square|cubic|) (miles|feet|inches|yards|meters|kilometers|centimeters)",
        "(fluid ounces|troy ounces|ounces|pounds|grams|kilograms|liters|gallons|pints|cups|tons)",
        "(table|tea) spoons",
    ),
    # Food and shops.
    "item": (
        "(organic|fresh|frozen|dried|canned) {food}",
        "{food} (flour|sauce|chips|oil)",
        "(dish|hand|laundry) soap",
    ),
    "quantity": (
        "{small} (bags|boxes|cans|bottles|packs)",
        "a (dozen|bag|box|bottle|pack)",
        "{digit} (pounds|kilos)",
    ),
    "store": ("{last} (market|groceries|foods)", "the {noun} (shop|market)", "{last} and {last}"),
    "dish": ("{food} (soup|curry|pizza|salad|pie|burger|stew)", "(grilled|stuffed|roasted|spicy) {food}"),
    "ingredient": (
        "(fresh|smoked|ground|red|green) (basil|garlic|ginger|paprika|beans|lentils|onions|tofu|butter)",
    ),
    "diet": (
        "(low|reduced) (fat|carb|salt|sugar|calorie)",
        "(gluten|sugar|dairy|nut|salt|fat|egg|meat|wheat) free",
        "(vegan|vegetarian|paleo|kosher|halal|high protein|high fiber)",
    ),
    "restaurant": (
        "the {adjective} (fork|spoon|kettle|table|oven)",
        "{first} 's (diner|grill|kitchen|place)",
        "casa {last}",
    ),
    "cuisine": (
        "(northern|southern|modern|coastal|) (indian|thai|mexican|greek|italian|lebanese|korean|peruvian)",
    ),
    "serving": ("{small} (small|large|double|half|family) (portions|servings|plates)",),
    "party_size": ("{small} people", "{small}", "{small} (adults|guests)", "a (couple|family) of {small}"),
    "seating": (
        "(by|near|close to) the (window|bar|fireplace|garden|stage|aquarium)",
        "(on|out on) the (terrace|patio|balcony|rooftop)",
    ),
}

ALIASES: dict[str, str] = {
    "origin": "city",
    "destination": "city",
    "source_unit": "unit",
    "target_unit": "unit",
}
"""Slots that have the values of another slot."""
