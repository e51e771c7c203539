"""Sentence templates about roads, people, days, food and the world, in the notation of `home.py`."""

from __future__ import annotations

from .home import Templates

AWAY: dict[str, Templates] = {
    "navigate": Templates(
        train=(
            "~(navigate|drive|take me) to {place}",
            "~(navigate|drive|take me) to {address} in {city}",
            "~(give|show) me (directions|the way|the route) to {place} without {road}",
            "how do i get to {address}",
            "~(take|find) the (fastest|shortest|scenic) route to {place} (via|over) {road}",
            "i want to be at {place} by {time}",
        ),
        dev=("~drive to {place} via {road}", "how do i get to {place} in {city}"),
        test=(
            "~navigate to {address} without {road}",
            "~show me the fastest way to {place} in {city}",
            "~take me to {address} by {time}",
        ),
    ),
    "traffic_query": Templates(
        train=(
            "how is the traffic on {road}",
            "is there (any|a lot of|much) traffic (on|along) {road}",
            "are there (any|) (accidents|jams|delays) on {road} (near|by) {city}",
            "~(check|tell me about) the traffic (to|around|near) {place}",
            "how (bad|heavy) is the traffic in {city} at {time}",
            "how long is the (delay|jam) on {road}",
        ),
        dev=("are there delays around {place}", "~check the traffic on {road} at {time}"),
        test=(
            "is there a jam on {road} near {place}",
            "how is the traffic in {city}",
            "~tell me about any accidents along {road}",
        ),
    ),
    "find_poi": Templates(
        train=(
            "where is the (nearest|next|closest) {poi}",
            "~(find|show|look for) a {poi} (near|close to) {place}",
            "~find a {poi} within {distance}",
            "is there a {poi} (within|less than) {distance} (from here|)",
            "i (need|am looking for) a {poi} in {city}",
            "are there any {poi} places along {road}",
        ),
        dev=("~show me the closest {poi} in {city}", "i need a {poi} within {distance}"),
        test=(
            "where is a {poi} close to {place}",
            "i am looking for a {poi} less than {distance} from {place}",
            "~find the next {poi} along {road}",
        ),
    ),
    "make_call": Templates(
        train=(
            "~(call|phone|ring|dial) {contact}",
            "~(call|ring) {contact} on (the|his|her) {phone_kind}",
            "~dial the {phone_kind} of {contact}",
            "~make a (phone|video|) call to {contact}",
            "i (need|want) to (talk|speak) to {contact}",
            "~get {contact} on the line",
        ),
        dev=("~phone {contact} on the {phone_kind}", "i want to make a call to {contact}"),
        test=(
            "~ring the {phone_kind} of {contact}",
            "i need to call {contact} on her {phone_kind}",
            "~make a video call to {contact} at {time}",
        ),
    ),
    "send_message": Templates(
        train=(
            "~(text|tell|message) {contact} (that|) {message}",
            "~send (a|) (message|text) to {contact} saying {message}",
            "~(write|send) {contact} a (message|text) (that|saying) {message}",
            "~let {contact} know (that|) {message}",
            "~send {message} to {contact}",
        ),
        dev=("~write to {contact} that {message}", "~send a text saying {message} to {contact}"),
        test=(
            "~send a message that {message} to {contact}",
            "i want {contact} to know that {message}",
            "~write a text to {contact} saying {message}",
        ),
    ),
    "set_alarm": Templates(
        train=(
            "~(set|make) (an|the) alarm (for|at) {time}",
            "~wake me (up|) at {time} (on {date}|{date}|)",
            "~set (the|my) {alarm_name} for {time}",
            "~(set|make) an alarm for {time} {date}",
            "i (need|have) to (wake|get) up at {time}",
            "~set {alarm_name} {date} at {time}",
        ),
        dev=("~wake me {date} at {time}", "i need an alarm at {time}"),
        test=(
            "~make my {alarm_name} for {date} at {time}",
            "i have to wake up {date} at {time}",
            "~set an alarm that gets me up at {time}",
        ),
    ),
    "cancel_alarm": Templates(
        train=(
            "~(cancel|delete|remove) (the|my) alarm (for|at) {time}",
            "~(cancel|delete|turn off) (the|my) {alarm_name}",
            "~(remove|delete|cancel) (all|my) alarms (for|on) {date}",
            "i do not need (the|my) {alarm_name} {date}",
            "do not wake me (up|) at {time}",
        ),
        dev=("~remove my {alarm_name}", "i do not need the alarm at {time}"),
        test=(
            "~cancel my {alarm_name} for {date}",
            "do not wake me {date}",
            "~delete the alarms on {date} at {time}",
        ),
    ),
    "set_timer": Templates(
        train=(
            "~(set|start) a timer for {duration}",
            "~(set|start) a {duration} timer (for|called) (the|) {timer_name}",
            "~(set|start) (the|my) {timer_name} for {duration}",
            "~count down (from|) {duration}",
            "~(tell|alert) me when {duration} are over",
        ),
        dev=(
            "~start counting {duration} for the {timer_name}",
            "~set a timer called {timer_name} for {duration}",
        ),
        test=(
            "~start a timer of {duration} for the {timer_name}",
            "i need a {duration} timer",
            "~alert me for the {timer_name} when {duration} are over",
        ),
    ),
    "set_reminder": Templates(
        train=(
            "~remind me to {task} (at {time}|{date}|)",
            "~(set|make|create) a reminder to {task} (on|) {date} at {time}",
            "~remind me (about|of) {event} {date}",
            "do not let me forget to {task} {date}",
            "i (must|have to) {task} {date} so remind me at {time}",
            "~(set|create) a reminder for {event}",
        ),
        dev=("~remind me at {time} to {task}", "~make a reminder {date} for {event}"),
        test=(
            "~remind me {date} at {time} to {task}",
            "do not let me forget {event} {date}",
            "i must {task} so create a reminder for {time}",
        ),
    ),
    "calendar_add": Templates(
        train=(
            "~(add|put) {event} (to|on|in) my calendar (for|on) {date} at {time}",
            "~(schedule|plan) {event} (with {contact}|) (for|on) {date}",
            "~(schedule|plan|arrange) {event} at {place}",
            "~(add|put) {event} with {contact} (to|in) my (calendar|schedule)",
            "i have {event} {date} at {time} put it in my calendar",
        ),
        dev=("~arrange {event} with {contact} {date} at {time}", "~add {event} at {place} to my schedule"),
        test=(
            "~plan {event} at {place} for {date} at {time}",
            "i have {event} with {contact} add it to my calendar",
            "~put {event} {date} on my schedule",
        ),
    ),
    "calendar_query": Templates(
        train=(
            "when is (my|the|) {event}",
            "what is (on|in) my (calendar|schedule) (for|on|) {date}",
            "do i have (anything|something|plans) (scheduled|) {date} at {time}",
            "~(show|read|check) my (calendar|schedule|agenda) for {date}",
            "am i (free|busy) {date} (at {time}|)",
            "where is {event} {date}",
        ),
        dev=("do i have {event} {date}", "am i free at {time} {date}"),
        test=(
            "what do i have on my agenda {date} at {time}",
            "~check when {event} is",
            "am i busy on {date} with {event}",
        ),
    ),
    "world_time": Templates(
        train=(
            "what time is it in {city}",
            "what is the (time|local time|hour) in {country} (right now|)",
            "~tell me the (time|local time) in {city} ({country}|)",
            "if it is {time} here what time is it in {city}",
            "what is the time (difference|zone) (of|in) {country}",
        ),
        dev=("what hour is it in {country}", "~tell me the time zone of {city}"),
        test=(
            "what is the local time in {city} {country}",
            "~tell me what time it is in {country}",
            "what time is it in {country} when it is {time} here",
        ),
    ),
    "weather_query": Templates(
        train=(
            "what is the (weather|forecast) (like|) in {city} {date}",
            "will (it be|there be) {condition} in {city} {date}",
            "is it (going to be|) {condition} in {country}",
            "~(tell|give) me the (weather|forecast) for {date}",
            "how (warm|cold|hot) will it be in {city} (at {time}|{date})",
            "when will there be {condition} (in|near) {city}",
            "do i need an umbrella {date}",
        ),
        dev=("is there {condition} in {city} {date}", "how is the weather in {country}"),
        test=(
            "~give me the forecast for {city} {country} {date}",
            "will it be {condition} {date} at {time}",
            "what will the weather be like in {city} at {time}",
        ),
    ),
    "shopping_add": Templates(
        train=(
            "~(add|put) {item} (to|on) (my|the) shopping list",
            "~(add|put) {quantity} of {item} (to|on) (my|the) (shopping|) list",
            "~buy {quantity} of {item} (at|from) {store}",
            "we (need|are out of) {item}",
            "we need {quantity} of {item} from {store}",
            "i (must|have to) get {item} at {store}",
        ),
        dev=("~put {item} from {store} on my list", "we have to buy {quantity} of {item}"),
        test=(
            "we are out of {item} get {quantity}",
            "~add {item} from {store} to the shopping list",
            "i need {quantity} of {item} on my list",
        ),
    ),
    "find_recipe": Templates(
        train=(
            "how do i (make|cook|prepare) {dish}",
            "~(find|show|give) me a recipe for {dish} with {ingredient}",
            "~(find|show|give) me (a {diet} recipe for {dish}|{diet} recipes)",
            "what can i (cook|make) with {ingredient}",
            "is there a (recipe|way) to cook {diet} {dish}",
            "i want to (cook|make) {dish} in {duration}",
        ),
        dev=("what is a good recipe for {dish}", "~show me how to make {diet} {dish}"),
        test=(
            "how do i cook {diet} {dish} with {ingredient}",
            "~find recipes with {ingredient}",
            "i want to make {dish} give me a recipe",
        ),
    ),
    "order_food": Templates(
        train=(
            "~order {dish} from {restaurant}",
            "~(order|get) me {serving} of {dish} (to go|for delivery|)",
            "~(get|order) (some|) {cuisine} food (from {restaurant}|)",
            "i (want|would like) to order {diet} {dish}",
            "i am hungry (get|order) me {dish}",
            "~have {restaurant} deliver {dish} at {time}",
        ),
        dev=("i would like {dish} delivered from {restaurant}", "~order {diet} food"),
        test=(
            "~get me {dish} from {restaurant} for delivery",
            "i am hungry order {cuisine} food",
            "~have {restaurant} deliver {serving} of {dish}",
        ),
    ),
    "book_table": Templates(
        train=(
            "~(book|reserve) a table for {party_size} at {restaurant}",
            "~(book|reserve|get) (me|us|) a table {seating} (at {restaurant}|)",
            "~(book|reserve) a table at {restaurant} {seating}",
            "~(book|find) a (restaurant|place) (with|that serves) {cuisine} food for {party_size}",
            "i (need|want) a (reservation|table) for {party_size} {date} at {time}",
            "~make a reservation at {restaurant} for {date}",
            "we want to eat {cuisine} food in {city} {date}",
        ),
        dev=("~find us a table {seating} for {party_size}", "i need a table at {restaurant} at {time}"),
        test=(
            "~make a reservation for {party_size} at {restaurant} {seating}",
            "we want a table at {restaurant} {date} at {time}",
            "~find a {cuisine} restaurant in {city} for {party_size}",
        ),
    ),
    "find_showtimes": Templates(
        train=(
            "when (is|does) (the movie|the film|) {movie} (playing|start) at {cinema}",
            "(what|which) (movies|films) are (playing|showing|on) at {cinema} {date}",
            "~(find|get) (the|) (showtimes|screenings|tickets) (for|of) {movie}",
            "is there a {movie_genre} (playing|showing) at {cinema}",
            "~(find|show) (the|) showtimes for {movie} {date}",
            "where can i see {movie} {date}",
        ),
        dev=("which {movie_genre} films are on {date}", "~get tickets for {movie} at {cinema}"),
        test=(
            "when is {movie} showing {date}",
            "~find screenings of {movie} at {cinema} {date}",
            "is there a {movie_genre} on at {cinema} at {time}",
        ),
    ),
    "play_movie": Templates(
        train=(
            "~(play|stream|show) the (movie|film) {movie} in the {room}",
            "i want to (watch|see) (a|some) {movie_genre}",
            "i want to watch (the movie|the film|) {movie}",
            "~(stream|play|start) a {movie_genre} from the {decade}",
            "let us watch {movie} in the {room}",
            "~(resume|continue) the (movie|film) {movie}",
        ),
        dev=("~stream the film {movie}", "let us watch a {movie_genre} in the {room}"),
        test=(
            "i want to watch a {movie_genre} from the {decade} in the {room}",
            "~start the movie {movie} in the {room}",
            "let us see the film {movie}",
        ),
    ),
    "convert_units": Templates(
        train=(
            "how many {target_unit} (are|is) {amount} {source_unit}",
            "~convert {amount} {source_unit} (to|into) {target_unit}",
            "what (is|are) {amount} {source_unit} in {target_unit}",
            "how many {target_unit} (are there|) in {amount} {source_unit}",
            "~(turn|change) {amount} {source_unit} into {target_unit}",
        ),
        dev=(
            "~tell me what {amount} {source_unit} are in {target_unit}",
            "~change {amount} {source_unit} to {target_unit}",
        ),
        test=(
            "how much are {amount} {source_unit} in {target_unit}",
            "~tell me how many {target_unit} {amount} {source_unit} are",
            "what do {amount} {source_unit} convert to in {target_unit}",
        ),
    ),
    "translate": Templates(
        train=(
            "how do (you|i) say {phrase} in {language}",
            "~translate {phrase} (to|into) {language}",
            "what is {phrase} in {language}",
            "what is the {language} (word|expression|phrase) for {phrase}",
            "~(teach|tell) me how to say {phrase} in {language}",
            "what does {phrase} mean in {language}",
        ),
        dev=("~tell me the {language} for {phrase}", "how would i say {phrase} in {language}"),
        test=(
            "~translate into {language} {phrase}",
            "what is the expression for {phrase} in {language}",
            "~teach me to say {phrase} in {language}",
        ),
    ),
    "sports_score": Templates(
        train=(
            "(what is|tell me) the score of {team}",
            "did {team} (win|lose) (their|the) (match|game) {date}",
            "how did {team} do against {team}",
            "what is the {sport} score (of|for) {team}",
            "who won the {sport} (match|game|final) {date}",
            "when do {team} play {sport} (next|again)",
        ),
        dev=("who won the match of {team}", "what was the score of the {sport} game"),
        test=(
            "did {team} win against {team} {date}",
            "tell me the {sport} score of the game {date}",
            "how did {team} play in the {sport} final",
        ),
    ),
    "news_query": Templates(
        train=(
            "what is (new|happening) in {country}",
            "~(read|give|tell) me the (news|headlines) (about|on) {topic}",
            "~(read|give|tell) me the (latest|) (news|headlines) from {country}",
            "(is there|do you have) any news (about|on) {topic} (in {country}|)",
            "what are the headlines {date}",
            "i want (to hear|) the (news|headlines) from {city} (about {topic}|)",
        ),
        dev=("what are the headlines on {topic}", "what is the latest news from {city}"),
        test=(
            "~give me the headlines about {topic} from {country}",
            "is there news about {topic} from {city}",
            "what is happening in {country} {date}",
        ),
    ),
    "book_train": Templates(
        train=(
            "~(book|buy|get) (me|) a train ticket from {origin} to {destination}",
            "~(book|buy) {tickets} (for the train|) to {destination} (for|on) {date}",
            "when does the (next|last|first) train (to {destination}|from {origin}) leave",
            "i (need|want) to take the train to {destination} {date} at {time}",
            "which trains (go|run) from {origin} to {destination} {date}",
            "how much is a (train|) ticket (from {origin} to {destination}|to {destination})",
        ),
        dev=(
            "is there a train from {origin} to {destination} at {time}",
            "i want a train ticket to {destination}",
        ),
        test=(
            "~get {tickets} for the train from {origin} to {destination}",
            "when does a train go to {destination} from {origin} {date}",
            "i need a train to {destination} from {origin} at {time}",
        ),
    ),
}
